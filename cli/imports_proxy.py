"""The configuration file of email-oauth2-proxy, or its cache store: a section for each mailbox.

Refresh tokens are encrypted there with the mailbox's own password at the proxy: PBKDF2 with ``token_salt``,
then Fernet.
"""

from __future__ import annotations

import base64
import binascii
import configparser
from typing import TYPE_CHECKING, Final

from chalicelib.accounts.models.account import AuthMode
from cli.exported import Exported, UnreadableExport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

LEGACY_ITERATIONS: Final = 100_000
"""What the proxy used before it wrote the number beside the token."""
BY_THEMSELVES: Final = frozenset({AuthMode.CLIENT_CREDENTIALS, AuthMode.SERVICE_ACCOUNT})
"""Values of ``oauth2_flow`` that are auth modes; in all the others a person has signed in."""


def accounts(text: str, password: Callable[[str], str]) -> Iterator[Exported | UnreadableExport]:
    """The sections that are named by a mail address; the others are servers. Raises UnreadableExport."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        # Its text quotes lines of the file, in which there may be a token.
        raise UnreadableExport(
            f"This is not a configuration of email-oauth2-proxy ({type(error).__name__})."
        ) from None
    for name in (one for one in parser.sections() if "@" in one):
        try:
            yield _account(parser[name], name, password)
        except UnreadableExport as error:
            yield error


def _account(section: Mapping[str, str], address: str, password: Callable[[str], str]) -> Exported:
    if address.startswith("@"):
        raise UnreadableExport(
            f"[{address}] stands for many mailboxes. Take it out, and import those in a file of rows."
        )
    flow = section.get("oauth2_flow", "")
    mode = flow if flow in BY_THEMSELVES else str(AuthMode.AUTHORIZATION_CODE)
    has_token = mode == AuthMode.AUTHORIZATION_CODE and section.get("refresh_token")
    token = _decrypted(section, address, password) if has_token else ""
    # A service account's client id stands in its key.
    client_id = "" if mode == AuthMode.SERVICE_ACCOUNT else section.get("client_id", "")
    return Exported(f"[{address}]", address, auth_mode=mode, refresh_token=token, client_id=client_id)


def _decrypted(section: Mapping[str, str], address: str, password: Callable[[str], str]) -> str:
    token, salt = section["refresh_token"], section.get("token_salt")
    if not salt:
        return token
    from cryptography.fernet import Fernet, InvalidToken

    try:
        iterations = int(section.get("token_iterations") or LEGACY_ITERATIONS)
        key = _key(password(address), base64.b64decode(salt, validate=True), iterations)
        return Fernet(key).decrypt(token.encode()).decode()
    except (InvalidToken, binascii.Error, ValueError) as error:
        raise UnreadableExport(
            f"The token of {address} cannot be opened: its password at the proxy is another one."
        ) from error


def _key(password: str, salt: bytes, iterations: int) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

    derived = PBKDF2HMAC(SHA256(), length=32, salt=salt, iterations=iterations).derive(password.encode())
    return base64.urlsafe_b64encode(derived)
