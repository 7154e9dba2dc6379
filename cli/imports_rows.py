"""Rows of exports: by what names other systems keep what an account here has.

EmailEngine's are those of its API (``GET /v1/account``), Frappe's the fields of its document types Email
Account and Token Cache, Group-Office's the columns of ``em_accounts``, ``em_aliases`` and
``oauth2client_account``; ``MAIL_AUTH_TYPE``, ``MAIL_TOKEN_NAME`` and
``MAILBOX_EMAIL_TOKEN_NAME`` are ExtraView's.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from chalicelib.accounts.models.account import AuthMode, FromPolicy
from chalicelib.addresses import same
from cli.exported import Exported, UnreadableExport

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ADDRESS: Final = ("address", "email", "email_id", "username", "user", "login", "account")
"""Where the systems keep the mailbox's address; the first that is there counts."""
TOKEN: Final = ("refresh_token", "refreshtoken")
MODES: Final = {
    **{str(mode): str(mode) for mode in AuthMode},
    "basic": "password",
    "oauth": "authorization_code",
    "oauth2": "authorization_code",
    "": "",
}
"""What is written for an auth mode, in small letters → the auth mode."""

HIDDEN: Final = re.compile(r"\*+|\{GOCRYPT\d*\}.*", re.DOTALL)
"""What stands in the place of a secret: stars, or what Group-Office has encrypted."""

_YES: Final = frozenset({"1", "true", "yes"})


def exported(place: str, row: Any) -> Exported:
    """The mailbox of one row. Raises UnreadableExport, whose text holds no value of a secret."""
    if not isinstance(row, dict):
        raise UnreadableExport("This is not an account.")
    if None in row:
        raise UnreadableExport("It has more cells than the first line has names.")
    row = by_small_names(row)
    if isinstance(row.get("oauth2") or row.get("smtp") or row.get("imap"), dict):
        return _emailengine(place, row)
    if "email_account_name" in row:
        return _frappe(place, row)
    return _plain(place, row)


def names_address(row: Mapping[str, Any]) -> bool:
    """Whether this is an account, and not what lists accounts."""
    return any(by_small_names(row).get(name) for name in (*ADDRESS, "oauth2"))


def by_small_names(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row by the names that `small_names` makes. Raises UnreadableExport."""
    return dict(zip(small_names(row), row.values(), strict=True))


def small_names(names: Iterable[str]) -> list[str]:
    """The names in small letters, without blanks around them, as they are compared.

    Raises UnreadableExport for two that are the same then.
    """
    small = [name.strip("\ufeff \t").lower() for name in names]
    twice = next((name for name, count in Counter(small).items() if name and count > 1), None)
    if twice is not None:
        raise UnreadableExport(f"The name {twice} stands twice; the case of letters does not count.")
    return small


def _plain(place: str, row: Mapping[str, Any]) -> Exported:
    """A row with the API's names. A Token Cache is named by its app and user, which is no account's name."""
    is_cache = "connected_app" in row
    address = _address(row)
    name = "" if is_cache else _first(row, "name", "account_name", "mail_token_name")
    smtp_user = _first(row, "smtp_user", "smtp_username")
    return Exported(
        place,
        address,
        name="" if same(name, address) else name,
        auth_mode=_mode(_first(row, "auth_mode", "auth_method", "mail_auth_type")),
        refresh_token=_secret(row, *TOKEN),
        password=_secret(row, "password", "smtp_password"),
        signs_in_as=_first(row, "signs_in_as"),
        smtp_user="" if same(smtp_user, address) else smtp_user,
        display_name=_first(row, "display_name"),
        from_addresses=tuple(
            re.split(r"[\s,;]+", _first(row, "from_addresses")) if row.get("from_addresses") else ()
        ),
        from_policy=_policy(_first(row, "from_policy")),
        reads_with=_first(row, "reads_with", "mailbox_email_token_name"),
        always_name=_is_set(row, "always_name"),
        connector=_first(row, "connector"),
        client_id=_first(row, "client_id", "clientid"),
        server=_first(row, "smtp_host", "smtp_server"),
    )


def _emailengine(place: str, row: Mapping[str, Any]) -> Exported:
    """``account`` is its own name there; ``name`` is shown beside the address in From."""
    oauth2, smtp = _inner(row, "oauth2"), _inner(row, "smtp")
    login = _inner(smtp, "auth") or _inner(_inner(row, "imap"), "auth")
    signing = _inner(oauth2, "auth")
    person, shared = _first(signing, "user"), _first(signing, "delegateduser")
    address = shared or _first(row, "email") or person or _first(login, "user") or _address(row)
    account, user = _first(row, "account"), _first(login, "user")
    return Exported(
        place,
        address,
        name="" if same(account, address) else account,
        auth_mode="" if oauth2 else str(AuthMode.PASSWORD),
        refresh_token=_secret(oauth2, *TOKEN),
        password="" if oauth2 else _secret(login, "pass"),
        signs_in_as=person if shared and not same(person, shared) else "",
        smtp_user="" if oauth2 or same(user, address) else user,
        display_name=_first(row, "name"),
        server=_first(smtp, "host"),
    )


def _frappe(place: str, row: Mapping[str, Any]) -> Exported:
    """An Email Account. With the switch for its sender's address, other addresses are replaced by its own."""
    address, account = _address(row), _first(row, "email_account_name", "name")
    by_itself = _is_set(row, "backend_app_flow")
    mode = AuthMode.CLIENT_CREDENTIALS if by_itself else _mode(_first(row, "auth_method"))
    other = _first(row, "login_id") if _is_set(row, "login_id_is_different") and not by_itself else ""
    always_name = _is_set(row, "always_use_account_name_as_sender_name")
    is_basic = mode == AuthMode.PASSWORD
    return Exported(
        place,
        address,
        name="" if same(account, address) else account,
        auth_mode=str(mode),
        refresh_token="" if by_itself or is_basic else _secret(row, *TOKEN),
        password=_secret(row, "password") if is_basic else "",
        signs_in_as=other if "@" in other and not is_basic else "",
        smtp_user=other,
        display_name=account if always_name else "",
        from_policy=str(FromPolicy.REWRITE) if _is_set(row, "always_use_account_email_id_as_sender") else "",
        always_name=always_name,
        client_id=_first(row, "client_id"),
        server=_first(row, "smtp_server") if is_basic else "",
    )


def _address(row: Mapping[str, Any]) -> str:
    found = _first(row, *ADDRESS)
    if "@" not in found:
        raise UnreadableExport(f"It has no mail address, only {', '.join(map(str, row))}.")
    return found


def _mode(text: str) -> str:
    if text.lower() not in MODES:
        raise UnreadableExport(f"There is no auth mode {text!r}: use one of {', '.join(AuthMode)}.")
    return MODES[text.lower()]


def _policy(text: str) -> str:
    if text and text not in set(FromPolicy):
        raise UnreadableExport(f"There is no policy {text!r} for From: use one of {', '.join(FromPolicy)}.")
    return text


def _secret(row: Mapping[str, Any], *names: str) -> str:
    """A secret; "" for none. Raises UnreadableExport for a token that is hidden there.

    A hidden password is one that the file does not have: whoever imports it types it.
    """
    found = next((str(row[name]) for name in names if row.get(name)), "")
    if not HIDDEN.fullmatch(found.strip()):
        return found
    if names == TOKEN:
        raise UnreadableExport(
            "Its refresh token is hidden or encrypted: export it readable, or leave it empty."
        )
    return ""


def _is_set(row: Mapping[str, Any], name: str) -> bool:
    return str(row.get(name) or "").strip().lower() in _YES


def _inner(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = row.get(name)
    return by_small_names(inner) if isinstance(inner, dict) else {}


def _first(row: Mapping[str, Any], *names: str) -> str:
    found = (row.get(name) for name in names)
    return next((str(one).strip() for one in found if one), "")
