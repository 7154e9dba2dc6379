"""Row U-C3: whose mailbox an account is, where no owner consents, is said by who administers all accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.accounts.models.account import AuthMode
from chalicelib.callers.models import Scope
from tests.unit.mail_world import post, running_post, world
from tests.unit.web_services import bearer, client, error_of

if TYPE_CHECKING:
    from tests.unit.mail_world import World

__all__ = ["post", "running_post", "world"]
pytestmark = pytest.mark.aws

CEO = "ceo@contoso.com"
OTHERS: dict[str, Any] = {"signs_in_as": CEO, "smtp_user": CEO, "from_addresses": [CEO]}
HARMLESS: dict[str, Any] = {"display_name": "Ada", "always_name": True, "from_policy": "rewrite"}
OWNERLESS = [mode for mode in AuthMode if not mode.has_owner]
CHOOSING = [AuthMode.CLIENT_CREDENTIALS, AuthMode.SERVICE_ACCOUNT]


def ask(world: World, method: str, path: str, body: dict[str, Any], *, accounts: str) -> Any:
    """The API's answer for an administrator of these accounts."""
    key = world.callers.create_key("admin", (Scope.ADMIN,), (accounts,))[1].reveal()
    with client(world) as http:  # type: ignore[arg-type]
        return http.http.request(
            method,
            f"/v1/accounts/{world.account_id}{path}",
            headers={**bearer(key), "Content-Type": "application/json"},
            body=http_body(body),
        )


def http_body(body: dict[str, Any]) -> bytes:
    """The body as it travels."""
    import json

    return json.dumps(body).encode()


@pytest.mark.parametrize("field", OTHERS)
@pytest.mark.parametrize("mode", AuthMode)
def test_uc3_an_administrator_of_one_account_does_not_choose_its_mailbox(
    world: World, mode: AuthMode, field: str
) -> None:
    world.change(auth_mode=mode)

    answer = ask(world, "PATCH", "", {field: OTHERS[field]}, accounts=world.account_id)

    if mode.has_owner:
        assert answer.status_code == 200, answer.body
        return
    error = error_of(answer)
    assert (answer.status_code, error["code"], error["field"]) == (403, "all_accounts_needed", field)
    assert world.account.smtp_user == world.account.signs_in_as == ""
    assert world.account.from_addresses == ()


@pytest.mark.parametrize("mode", OWNERLESS)
def test_uc3_an_administrator_of_all_accounts_chooses_it(world: World, mode: AuthMode) -> None:
    world.change(auth_mode=mode)

    assert ask(world, "PATCH", "", OTHERS, accounts="*").status_code == 200
    assert world.account.smtp_user == CEO


@pytest.mark.parametrize("mode", OWNERLESS)
def test_uc3_what_chooses_no_mailbox_is_changed_by_who_administers_the_account(
    world: World, mode: AuthMode
) -> None:
    world.change(auth_mode=mode)

    as_they_are = {"signs_in_as": "", "smtp_user": "", "from_addresses": []}
    answer = ask(world, "PATCH", "", HARMLESS | as_they_are, accounts=world.account_id)

    assert answer.status_code == 200, answer.body


@pytest.mark.parametrize("mode", CHOOSING)
def test_uc3_switching_to_what_opens_any_mailbox_is_for_who_administers_all(
    world: World, mode: AuthMode
) -> None:
    """Else a name that was given while the owner consented would open another mailbox afterwards."""
    answer = ask(world, "POST", "/connect", {"auth_mode": mode}, accounts=world.account_id)

    error = error_of(answer)
    assert (answer.status_code, error["code"], error["field"]) == (403, "all_accounts_needed", "auth_mode")
