"""What connectors and accounts may be called and hold. A check returns the value, or raises InvalidInput."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NoReturn

from chalicelib import addresses, ids
from chalicelib.accounts.models.account import AuthMode, FromPolicy
from chalicelib.accounts.models.connector import CredentialKind
from chalicelib.errors import InvalidInput
from chalicelib.providers.facts import is_day

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chalicelib.accounts.models.connector import Connector
    from chalicelib.providers.facts import ProviderFacts

NAME_LIMIT = 100
NOT_IN_NAMES = r"/\%?#"
"""What an account's name must not hold: it would end or change a path in which it is named."""
CLIENT_ID = r"[\x21-\x7e]{1,200}"
SECRET_LIMIT = 4_000
CREDENTIAL_LIMIT = 8_192
"""Characters of a password or refresh token. Microsoft names no bound for its tokens."""

SECRET_END = "secret_expires_at"  # noqa: S105 - a name
"""The fact, and the field, that says on which day a client secret ends: no provider tells it."""

MOST_ADDRESSES = 100
"""As many addresses an account can use besides its own."""
NO_TENANT = frozenset({"common", "organizations", "consumers"})
"""What may stand in the place of a tenant, and is none: whoever signs in says which one is meant."""
MODES = {
    CredentialKind.SECRET: {AuthMode.AUTHORIZATION_CODE, AuthMode.CLIENT_CREDENTIALS},
    CredentialKind.CERTIFICATE: {AuthMode.AUTHORIZATION_CODE, AuthMode.CLIENT_CREDENTIALS},
    CredentialKind.FEDERATED: {AuthMode.AUTHORIZATION_CODE, AuthMode.CLIENT_CREDENTIALS},
    CredentialKind.SERVICE_ACCOUNT: {AuthMode.SERVICE_ACCOUNT},
    CredentialKind.NONE: set[AuthMode](),
}
"""What a credential is good for."""

HELD = {AuthMode.AUTHORIZATION_CODE: "refresh_token", AuthMode.PASSWORD: "password"}
"""What an account is connected with directly, by its auth mode; the others need nothing of its own."""

_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.\-]{0,127}")


def name(text: str) -> str:
    """A connector's or account's name, without blanks around it."""
    text = printable("name", text)
    if ids.is_id("acc", text) or ids.is_id("con", text):
        refuse("name", "The name looks like an id.", "Choose another name.")
    return text


def client_id(text: str) -> str:
    """The id of our client at the provider."""
    if not re.fullmatch(CLIENT_ID, text):
        refuse("client_id", "The client id is not one.", "Copy it from the provider's console.")
    return text


def account_name(text: str) -> str:
    """A name that can stand in a path as it is: ``/v1/accounts/NAME``."""
    text = name(text)
    if text in {".", ".."} or any(one in text for one in NOT_IN_NAMES):
        refuse(
            "name",
            f"The name cannot be used in a path: it is . or .. or holds one of {' '.join(NOT_IN_NAMES)}",
            "Give the account a name without these; its address may keep them.",
        )
    return text


def printable(field: str, text: str) -> str:
    """A text of 1 to NAME_LIMIT printable characters, without blanks around it."""
    stripped = text.strip()
    if not 1 <= len(stripped) <= NAME_LIMIT or not stripped.isprintable():
        refuse(
            field,
            f"It needs 1 to {NAME_LIMIT} printable characters.",
            "Shorten it, and leave out line breaks.",
        )
    return stripped


def tenant(provider: str, text: str) -> str:
    """Microsoft's directory, ``common`` where none is named; empty for every other provider."""
    if provider != "microsoft":  # only Microsoft has tenants in its addresses
        if text:
            refuse("tenant", "Only Microsoft's connectors have a tenant.", "Leave it out.")
        return ""
    if text and not _TENANT.fullmatch(text):
        refuse("tenant", "The tenant is not one.", "Use the directory's id or domain, or common.")
    return text.lower() or "common"


def coherent(one: Connector, facts: ProviderFacts) -> None:
    """Returns where a connector's credential and facts go together. Raises InvalidInput."""
    if one.credential not in facts.credentials:
        refuse(
            "credential",
            f"{facts.label} takes no client with the credential {one.credential}.",
            f"Use one of {', '.join(facts.credentials)}.",
        )
    if AuthMode.CLIENT_CREDENTIALS in one.facts.get("auth_modes", ()):
        one_tenant(one)
    if not facts.smtp_host:
        refuse(
            "facts", "The facts name no mail server.", "Give smtp_host, and smtp_port where it is not 587."
        )
    needs_endpoints = facts.speaks == "openid" and one.client_id
    if needs_endpoints and not (facts.authorize and facts.token):
        refuse(
            "facts",
            "The facts do not say where people sign in (authorize) and where tokens are given (token).",
            "Give both, or the issuer's discovery document, from which they follow.",
        )
    asks = facts.speaks == "openid" and one.client_id and AuthMode.AUTHORIZATION_CODE in facts.auth_modes
    if asks and not facts.scopes:
        refuse(
            "scopes",
            "The connector asks for no scope, so that nobody could consent to anything.",
            f"Name those that its mail server wants. {_supported(facts)}",
        )


def _supported(facts: ProviderFacts) -> str:
    if not facts.scopes_supported:
        return "The provider's documentation names them."
    return f"The provider knows {', '.join(facts.scopes_supported[:20])}."


def auth_mode(connector: Connector, facts: ProviderFacts, mode: AuthMode) -> None:
    """Returns where the connector's accounts can have that auth mode. Raises InvalidInput."""
    if not facts.allows(mode):
        refuse(
            "auth_mode",
            f"{facts.label} has no accounts with the auth mode {mode}.",
            f"Use one of {', '.join(facts.auth_modes)}.",
        )
    if not _is_good_for(connector, facts, mode):
        refuse(
            "auth_mode",
            f"By the credential {connector.credential} no account can have the auth mode {mode}.",
            "Make a connector with another credential for it.",
        )
    if mode is AuthMode.CLIENT_CREDENTIALS:
        one_tenant(connector)


def usual_mode(connector: Connector, facts: ProviderFacts) -> AuthMode:
    """The auth mode of the connector's accounts where none is named: the first that they can have."""
    possible = (mode for mode in AuthMode if facts.allows(mode) and _is_good_for(connector, facts, mode))
    return next(possible, AuthMode.AUTHORIZATION_CODE)


def _is_good_for(connector: Connector, facts: ProviderFacts, mode: AuthMode) -> bool:
    """Whether the connector's credential is good for that mode."""
    is_public = connector.credential is CredentialKind.NONE and facts.client_auth == "none"
    good_for = {AuthMode.AUTHORIZATION_CODE} if is_public else MODES[connector.credential]
    return not mode.needs_client or mode in good_for


def one_tenant(connector: Connector) -> None:
    """Returns where an application that acts by itself knows in which tenant. Raises InvalidInput."""
    if connector.tenant in NO_TENANT:
        refuse(
            "tenant",
            f"An application that acts by itself needs one tenant, and {connector.tenant} is none.",
            "Make a connector with the directory's id or domain: it stands in Entra (Overview, Tenant ID).",
        )


def address(text: str, field: str = "address") -> str:
    """A mail address as accounts keep it, its domain in Unicode; nobody is asked whether it exists."""
    return addresses.checked(text, field).shown


def end_of_secret(day: str, kind: CredentialKind) -> str:
    """The day (``2027-01-31``) on which a client secret ends, or nothing where nobody knows."""
    if day and kind is not CredentialKind.SECRET:
        refuse(
            SECRET_END,
            f"A credential of the kind {kind} ends on no day that has to be told.",
            "Leave it out.",
        )
    if day and not is_day(day):
        refuse(SECRET_END, "This is no day.", "Write it as 2027-01-31.")
    return day


def held(mode: AuthMode, given: Mapping[str, str], *, needed: bool = False) -> None:
    """Returns where nothing is given that an account of that mode does not hold. Raises InvalidInput.

    With `needed` it must be there where the mode holds something.
    """
    for other, field in HELD.items():
        if given[field] and other is not mode:
            refuse(
                field,
                f"An account with the auth mode {mode} has no {field}.",
                f"Leave it out, or ask for the auth mode {other}.",
            )
    field = HELD.get(mode, "")
    if field and (needed or given[field]) and not 1 <= len(given[field]) <= CREDENTIAL_LIMIT:
        refuse(
            field,
            f"The auth mode {mode} needs a {field} of 1 to {CREDENTIAL_LIMIT} characters.",
            f"Give the {field}.",
        )


def description(**given: Any) -> dict[str, Any]:
    """What an account is called and may do, checked: only what is given. Raises InvalidInput.

    `reads_with` is the other account itself, or None; whether the two go together is not asked here.
    """
    by_name: dict[str, Callable[[Any], Any]] = {
        "name": account_name,
        "display_name": lambda text: printable("display_name", text) if text else "",
        "signs_in_as": lambda text: address(text, "signs_in_as") if text else "",
        "smtp_user": lambda text: printable("smtp_user", text) if text else "",
        "from_policy": FromPolicy,
        "from_addresses": _from_addresses,
        "always_name": bool,
        "reads_with": lambda reader: reader.id if reader else "",
    }
    return {field: by_name[field](value) for field, value in given.items()}


def _from_addresses(texts: Sequence[str]) -> tuple[str, ...]:
    if len(texts) > MOST_ADDRESSES:
        refuse("from_addresses", f"These are more than {MOST_ADDRESSES} addresses.", "Name fewer.")
    return tuple(address(text, f"from_addresses[{index}]") for index, text in enumerate(texts))


def refuse(field: str, message: str, fix: str) -> NoReturn:
    """Raises the InvalidInput that names the field."""
    raise InvalidInput(message, fix=fix, field=field)
