"""A connector's credential by its kind: read from what was given, shown without its secret."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, NoReturn

from chalicelib import clock
from chalicelib.accounts.admin.checks import SECRET_LIMIT
from chalicelib.accounts.models.connector import CredentialKind
from chalicelib.errors import InvalidInput, MalformedRequest
from chalicelib.providers import certificates, service_accounts
from chalicelib.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

CERTIFICATE_LIMIT = 40_000
"""Characters; certificates with their chains have some thousands."""
FIELDS = {
    CredentialKind.SECRET: "client_secret",
    CredentialKind.CERTIFICATE: "certificate",
    CredentialKind.SERVICE_ACCOUNT: "service_account_key",
}
"""The field of a request in which a credential of that kind is given."""
FIXES = {
    CredentialKind.SECRET: "Copy the secret's value.",
    CredentialKind.CERTIFICATE: "Give the certificate and its private key, as pem or as pfx in Base64.",
    CredentialKind.SERVICE_ACCOUNT: "Give the whole text of the JSON key that Google Cloud made.",
}


def kind_of(text: str) -> CredentialKind:
    """The kind of that name. Raises InvalidInput."""
    try:
        return CredentialKind(text)
    except ValueError as error:
        raise InvalidInput(
            f"There is no credential of the kind {text[:40]!r}.",
            fix=f"Use one of {', '.join(CredentialKind)}.",
            field="credential",
        ) from error


def read(
    kind: CredentialKind,
    secret: str = "",
    certificate: Mapping[str, Any] | None = None,
    service_account_key: str = "",
) -> Secret | None:
    """What is to be kept of what was given; None for a kind of which nothing is.

    Raises InvalidInput, or MalformedRequest, naming the field: of what is missing, cannot be read, or
    belongs to another kind.
    """
    given = dict(zip(FIELDS, (secret, certificate, service_account_key), strict=True))
    for other, value in given.items():
        if value and other is not kind:
            _refuse(
                FIELDS[other],
                f"A connector with the credential {kind} has no {FIELDS[other]}.",
                "Leave it out, or choose another kind of credential.",
            )
    if not kind.is_stored:
        return None
    if not given[kind]:
        _refuse(FIELDS[kind], f"The credential {kind} needs a {FIELDS[kind]}.", FIXES[kind])
    if kind is CredentialKind.SECRET:
        return _secret(secret)
    if kind is CredentialKind.CERTIFICATE:
        return _certificate(dict(certificate or {}))
    return service_accounts.from_json(service_account_key)


def shown(kind: CredentialKind, held: Secret | None) -> dict[str, Any]:
    """What may be shown of a kept credential, under its field: `ends_at` is in milliseconds."""
    if held is None:
        return {}
    if kind is CredentialKind.CERTIFICATE:
        ends_at = int(certificates.ends_at(held).timestamp()) * clock.SECOND
        return {"certificate": {"thumbprint": certificates.thumbprint(held), "ends_at": ends_at}}
    if kind is CredentialKind.SERVICE_ACCOUNT:
        return {"service_account": service_accounts.shown(held)}
    return {}


def _secret(text: str) -> Secret:
    if not 1 <= len(text.strip()) <= SECRET_LIMIT:
        _refuse("client_secret", "This is no client secret.", FIXES[CredentialKind.SECRET])
    return Secret(text.strip())


def _certificate(given: dict[str, Any]) -> Secret:
    """Of ``{"pem" | "pfx", "passphrase"?}``."""
    forms = given.keys() & {"pem", "pfx"}
    texts = all(isinstance(one, str) and len(one) <= CERTIFICATE_LIMIT for one in given.values())
    if len(forms) != 1 or not given.keys() <= {"pem", "pfx", "passphrase"} or not texts:
        _refuse("certificate", "This is no certificate.", FIXES[CredentialKind.CERTIFICATE])
    passphrase = given.get("passphrase", "")
    if "pem" in given:
        return certificates.from_pem(given["pem"], passphrase)
    try:
        data = base64.b64decode("".join(given["pfx"].split()), validate=True)
    except (binascii.Error, ValueError):
        _refuse("certificate.pfx", "The PFX file is not in Base64.", "Encode the file's bytes in Base64.")
    return certificates.from_pfx(data, passphrase)


def _refuse(field: str, message: str, fix: str) -> NoReturn:
    raise MalformedRequest(message, fix=fix, field=field)
