"""The doctor: each check as a fact, and examinations of real connectors and accounts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.accounts.doctor import account_findings, findings, instructions
from chalicelib.accounts.doctor.account_findings import OfAccount
from chalicelib.accounts.doctor.findings import FAIL, PASS, SKIP, WARN, Check, OfConnector, Result
from chalicelib.accounts.models.account import Account, AuthMode, GrantState
from chalicelib.accounts.models.connector import Cloud, Connector, CredentialKind
from chalicelib.accounts.models.grant import GRAPH, Grant, Identity
from chalicelib.clock import DAY
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import NotFound
from chalicelib.ids import new_id
from chalicelib.providers.catalogue import GOOGLE, MICROSOFT, OTHER, YANDEX
from chalicelib.providers.facts import merged
from tests.unit.applications import application, opened, service_account

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.providers.facts import ProviderFacts
    from sandbox.mailserver.client import MailServerClient
    from tests.unit.accounts_world import World

NOW = 1_795_000_000_000
"""2026-11-18."""
TENANT = "11111111-2222-3333-4444-555555555555"
SMTP = MICROSOFT.protocol_scopes["smtp"]
URI = "https://mail.example/oauth/callback/con_x"

CONNECTOR = Connector("con_x", "microsoft", "Ours", "app-1", TENANT, NOW, secret_saved_at=NOW)
ACCOUNT = Account(
    "acc_x", "sales", "sales@contoso.test", "con_x", NOW, grant_state=GrantState.ACTIVE, connected_at=NOW
)
GRANT = Grant(
    "acc_x", 1, b"", (SMTP, "email"), Identity("microsoft", "1", ("sales@contoso.test",)), NOW - DAY, NOW
)


def problem(code: str, class_: DiagnosisClass = DiagnosisClass.ADMIN, text: str = "") -> Diagnosis:
    return Diagnosis(class_, code, "A sentence.", "A fix.", text=text)


def connector(
    facts: ProviderFacts = MICROSOFT, asked: Mapping[str, Any] | None = None, uri: str = URI, **changed: Any
) -> OfConnector:
    """A connector about which nothing is wrong but what is named."""
    known = {"ok": True} if asked is None else asked
    return OfConnector(replace(CONNECTOR, **changed), facts, uri, known, NOW)


def account(facts: ProviderFacts = MICROSOFT, grant: Grant | None = GRANT, **changed: Any) -> OfAccount:
    """An account about which nothing is wrong but what is named: facts of OfAccount, or of the account."""
    beside = {name: changed.pop(name) for name in ("claims", "verified", "resource") if name in changed}
    ours = replace(CONNECTOR, tenant=changed.pop("tenant", TENANT))
    return OfAccount(replace(ACCOUNT, **changed), ours, facts, grant, NOW, **beside)


def asking_for(scope: str) -> ProviderFacts:
    return replace(MICROSOFT, required_scopes=(scope,))


def day(days: float) -> int:
    return int(NOW + days * DAY)


def certificate(days: float) -> dict[str, Any]:
    return {"ok": True, "certificate": {"thumbprint": "AB", "ends_at": day(days)}}


BY_CERTIFICATE: dict[str, Any] = {"credential": CredentialKind.CERTIFICATE}
ID_AS_SECRET = {"ok": False, "diagnosis": problem("secret_is_an_id").to_json()}
EXPIRED = {"ok": False, "diagnosis": problem("AADSTS7000222").to_json()}
UNSURE = {"ok": None, "diagnosis": problem("http_503", DiagnosisClass.RETRY).to_json()}
WITH_END = merged(MICROSOFT, {"secret_expires_at": "2026-12-25"})
OPENID = replace(OTHER, scopes=("mail", "email"), required_scopes=("mail",))

CONNECTOR_ROWS: list[tuple[str, OfConnector, Result, str]] = [
    ("credential", connector(), PASS, "secret"),
    ("credential", connector(secret_saved_at=None, asked={}), FAIL, "no credential"),
    ("credential", connector(secret_saved_at=None, credential=CredentialKind.FEDERATED), PASS, "federated"),
    ("secret_is_no_id", connector(), PASS, ""),
    ("secret_is_no_id", connector(asked=ID_AS_SECRET), FAIL, ""),
    ("secret_is_no_id", connector(**BY_CERTIFICATE), SKIP, ""),
    ("credential_taken", connector(), PASS, ""),
    ("credential_taken", connector(asked=EXPIRED), FAIL, "AADSTS7000222"),
    ("credential_taken", connector(asked=UNSURE), SKIP, ""),
    ("credential_taken", connector(asked={"ok": None}), SKIP, ""),
    ("credential_taken", connector(asked={}, problem=problem("AADSTS700016")), FAIL, "AADSTS700016"),
    ("credential_end", connector(), SKIP, "No provider tells"),
    ("credential_end", connector(WITH_END), WARN, "2026-12-25: within 60 days"),
    ("credential_end", connector(asked=certificate(90), **BY_CERTIFICATE), PASS, "ends on"),
    ("credential_end", connector(asked=certificate(60), **BY_CERTIFICATE), WARN, "within 60 days"),
    ("credential_end", connector(asked=certificate(30), **BY_CERTIFICATE), WARN, "within 30 days"),
    ("credential_end", connector(asked=certificate(7), **BY_CERTIFICATE), WARN, "within 7 days"),
    ("credential_end", connector(asked=certificate(0.5), **BY_CERTIFICATE), WARN, "within a day"),
    ("credential_end", connector(asked=certificate(-0.1), **BY_CERTIFICATE), FAIL, "ended"),
    ("credential_end", connector(credential=CredentialKind.FEDERATED), SKIP, "federated"),
    ("tenant", connector(), PASS, TENANT),
    ("tenant", connector(tenant="common"), PASS, "people"),
    ("tenant", connector(GOOGLE, tenant=""), SKIP, ""),
    ("redirect_https", connector(), PASS, URI),
    ("redirect_https", connector(uri="http://mail.example/oauth/callback/con_x"), FAIL, "not https"),
    ("redirect_https", connector(uri="http://localhost:8000/oauth/callback/con_x"), WARN, "this computer"),
    ("redirect_https", connector(GOOGLE, credential=CredentialKind.SERVICE_ACCOUNT), SKIP, ""),
    ("redirect_registered", connector(), SKIP, ""),
    ("redirect_registered", connector(problem=problem("AADSTS50011")), FAIL, "AADSTS50011"),
    ("redirect_registered", connector(GOOGLE, problem=problem("redirect_uri_mismatch")), FAIL, ""),
    ("offline_access", connector(), PASS, ""),
    ("offline_access", connector(GOOGLE), PASS, ""),
    ("offline_access", connector(OPENID), WARN, "offline_access"),
    ("offline_access", connector(replace(OPENID, scopes=("mail", "offline_access"))), PASS, ""),
    ("offline_access", connector(replace(OPENID, authorize_parameters={"access_type": "offline"})), PASS, ""),
    ("offline_access", connector(OTHER), SKIP, ""),
    ("scopes_fit", connector(), PASS, SMTP),
    ("scopes_fit", connector(asking_for("https://outlook.office.com/EWS.Send")), FAIL, "2027-04-01"),
    ("scopes_fit", connector(asking_for("https://graph.microsoft.com/SMTP.Send")), FAIL, "Graph"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "known", "result", "part"), CONNECTOR_ROWS)
def test_a_connector_is_examined(check: str, known: OfConnector, result: Result, part: str) -> None:
    found = named(check, findings.of_connector(known))

    assert found.result is result
    assert part in found.message
    assert found.fix or result in {PASS, SKIP}


NEEDS: dict[str, Any] = {"grant_state": GrantState.NEEDS_RECONNECT, "problem": problem("invalid_grant")}
APP_ONLY: dict[str, Any] = {"auth_mode": AuthMode.CLIENT_CREDENTIALS}
FOR_SMTP: dict[str, Any] = {"claims": {"aud": "https://outlook.office.com", "upn": "Sales@Contoso.test"}}
FOR_GRAPH: dict[str, Any] = {"claims": {"aud": "https://graph.microsoft.com/"}}
LET_IN: dict[str, Any] = {"verified": {"ok": True, "protocol": "smtp"}}
OFF = problem("smtp_535_5.7.139", text="5.7.139 x, SmtpClientAuthentication is disabled for the Tenant.")
REFUSED: dict[str, Any] = {"verified": {"ok": False, "protocol": "smtp", "diagnosis": OFF.to_json()}}
NOT_ALLOWED = problem("smtp_554_5.2.252")
IN_TESTING = replace(GRANT, ends_at=GRANT.granted_at + 7 * DAY)
DIED = replace(GRANT, granted_at=NOW - 8 * DAY, first_refused_at=NOW - DAY)
OLD = replace(GRANT, granted_at=NOW - 9 * DAY)
OF_ANOTHER = replace(GRANT, identity=Identity("microsoft", "2", ("bob@contoso.test",)))
UNKNOWN = replace(GRANT, identity=Identity("microsoft", "", ()))

ACCOUNT_ROWS: list[tuple[str, OfAccount, Result, str]] = [
    ("consent", account(), PASS, "authorization_code"),
    ("consent", account(grant=None), FAIL, "not connected"),
    ("consent", account(grant=None, **APP_ONLY), FAIL, "not connected"),
    ("consent", account(**NEEDS), FAIL, "invalid_grant"),
    ("consent", account(problem=problem("http_503")), WARN, "http_503"),
    ("tenant", account(tenant="common", **APP_ONLY), FAIL, "app-only"),
    ("tenant", account(tenant="organizations", **APP_ONLY), FAIL, "organizations"),
    ("tenant", account(tenant="common"), PASS, ""),
    ("tenant", account(**APP_ONLY), PASS, TENANT),
    ("scopes_granted", account(), PASS, ""),
    ("scopes_granted", account(grant=replace(GRANT, scopes=("email",))), FAIL, SMTP),
    ("scopes_granted", account(problem=problem("scope_lost", text=SMTP)), FAIL, SMTP),
    ("scopes_granted", account(**APP_ONLY), SKIP, ""),
    ("audience", account(), SKIP, ""),
    ("audience", account(**FOR_SMTP), PASS, "outlook.office.com"),
    ("audience", account(**FOR_GRAPH), FAIL, "graph.microsoft.com"),
    ("audience", account(resource=GRAPH, **FOR_GRAPH), PASS, ""),
    ("audience", account(resource=GRAPH, **FOR_SMTP), FAIL, "outlook.office.com"),
    ("audience", account(claims={"aud": "https://outlook.office365.com"}, **APP_ONLY), PASS, ""),
    ("audience", account(claims={"aud": account_findings.MAIL_AUDIENCE}), PASS, ""),
    ("audience", account(GOOGLE, claims={"aud": "x"}), SKIP, ""),
    ("same_person", account(**FOR_SMTP), PASS, "sales@contoso.test"),
    ("same_person", account(grant=OF_ANOTHER), FAIL, "bob@contoso.test"),
    ("same_person", account(grant=OF_ANOTHER, signs_in_as="bob@contoso.test"), PASS, "bob@contoso.test"),
    ("same_person", account(grant=UNKNOWN), SKIP, ""),
    ("same_person", account(grant=UNKNOWN, claims={"upn": "eve@contoso.test"}), FAIL, "eve@contoso.test"),
    ("same_person", account(**APP_ONLY), SKIP, ""),
    ("google_testing", account(), SKIP, ""),
    ("google_testing", account(GOOGLE), SKIP, "younger"),
    ("google_testing", account(GOOGLE, grant=IN_TESTING), FAIL, "7 days"),
    ("google_testing", account(GOOGLE, grant=DIED, **NEEDS), FAIL, "7 days"),
    ("google_testing", account(GOOGLE, grant=OLD), PASS, ""),
    ("consent_end", account(), SKIP, ""),
    ("consent_end", account(grant=replace(GRANT, ends_at=day(3))), WARN, "ends on"),
    ("consent_end", account(grant=replace(GRANT, ends_at=day(-3))), FAIL, "ended on"),
    ("sign_in", account(), SKIP, ""),
    ("sign_in", account(**LET_IN), PASS, "smtp"),
    ("sign_in", account(**REFUSED), FAIL, "5.7.139"),
    ("smtp_auth", account(), SKIP, ""),
    ("smtp_auth", account(**LET_IN), PASS, ""),
    ("smtp_auth", account(**REFUSED), FAIL, "disabled for the Tenant"),
    ("smtp_auth", account(transport_block=OFF), FAIL, ""),
    ("smtp_auth", account(GOOGLE), SKIP, ""),
    ("from_allowed", account(), PASS, "sales@contoso.test"),
    ("from_allowed", account(from_addresses=("info@contoso.test",)), WARN, "info@contoso.test"),
    ("from_allowed", account(signs_in_as="bob@contoso.test"), WARN, "sales@contoso.test"),
    ("from_allowed", account(transport_block=NOT_ALLOWED), FAIL, ""),
    ("from_allowed", account(GOOGLE, from_addresses=("info@contoso.test",)), WARN, "info@contoso.test"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "known", "result", "part"), ACCOUNT_ROWS)
def test_an_account_is_examined(check: str, known: OfAccount, result: Result, part: str) -> None:
    found = named(check, account_findings.of_account(known))

    assert found.result is result
    assert part in found.message
    assert found.fix or result in {PASS, SKIP}


def test_smtp_that_is_off_comes_with_the_line_that_switches_it_on() -> None:
    found = named("smtp_auth", account_findings.of_account(account(**REFUSED)))

    assert (
        "Set-CASMailbox -Identity 'sales@contoso.test' -SmtpClientAuthenticationDisabled $false" in found.fix
    )
    assert "It overrules the tenant's own setting." in found.fix
    assert MICROSOFT.protocol_scopes["graph"] in found.fix


def test_a_from_that_is_not_allowed_comes_with_the_line_that_allows_it() -> None:
    known = account(signs_in_as="bob@contoso.test", from_addresses=("o'neil@contoso.test",))

    fix = named("from_allowed", account_findings.of_account(known)).fix

    assert "-Identity 'o''neil@contoso.test' -Trustee 'bob@contoso.test' -AccessRights SendAs" in fix
    assert "-Identity 'sales@contoso.test' -Trustee 'bob@contoso.test'" in fix


def test_instructions_for_an_application_name_tenant_application_and_mailbox() -> None:
    found = instructions.of_account(
        replace(ACCOUNT, **APP_ONLY), replace(CONNECTOR, tenant="contoso.test"), MICROSOFT, "sp-9"
    )
    rbac, classic, graph = ("\n".join(one.lines) for one in found)

    for lines in (rbac, classic, graph):
        assert lines.startswith("$sp = 'sp-9'\nConnect-ExchangeOnline -Organization 'contoso.test'\n")
        assert "New-ServicePrincipal -AppId 'app-1' -ObjectId $sp" in lines
        assert "'sales@contoso.test'" in lines
    assert (
        "Add-MailboxPermission -Identity 'sales@contoso.test' -User $sp -AccessRights FullAccess" in classic
    )
    assert "-AccessRights SendAs" in classic
    assert 'New-ManagementRoleAssignment -Role "Application SMTP.SendAsApp" -App $sp' in rbac
    assert "MemberOfGroup -eq '$group'" in rbac
    assert "SmtpClientAuthenticationDisabled $false" in rbac
    assert '"Application Mail.Send"' in graph
    assert "Set-CASMailbox" not in graph


def test_the_service_principal_that_is_not_known_is_looked_up_in_the_right_cloud() -> None:
    ours = replace(CONNECTOR, cloud=Cloud.GCC_HIGH)

    lines = instructions.of_account(replace(ACCOUNT, **APP_ONLY), ours, MICROSOFT)[0].lines

    assert lines[:3] == (
        f"Connect-MgGraph -Scopes Application.Read.All -TenantId '{TENANT}' -Environment USGov",
        "$sp = (Get-MgServicePrincipal -Filter 'appId eq ''app-1''').Id",
        "Connect-ExchangeOnline -ExchangeEnvironmentName O365USGovGCCHigh",
    )


@pytest.mark.parametrize("quote", ["'", "\u2019"])
def test_no_value_ends_its_argument(quote: str) -> None:
    evil = f"a{quote}; Remove-Mailbox b"

    line = instructions.smtp_auth(evil)

    assert line == (
        f"Set-CASMailbox -Identity 'a{quote * 2}; Remove-Mailbox b' -SmtpClientAuthenticationDisabled $false"
    )


def test_a_service_account_shows_what_the_admin_console_wants() -> None:
    ours = replace(CONNECTOR, provider="google", client_id="1081", credential=CredentialKind.SERVICE_ACCOUNT)

    found = instructions.of_account(replace(ACCOUNT, auth_mode=AuthMode.SERVICE_ACCOUNT), ours, GOOGLE)

    assert found[0].lines == ("Client ID: 1081", "OAuth scopes: https://mail.google.com/")


def test_a_shared_mailbox_shows_who_needs_which_right() -> None:
    lines = instructions.of_account(replace(ACCOUNT, signs_in_as="bob@contoso.test"), CONNECTOR, MICROSOFT)[
        0
    ].lines

    assert "Add-MailboxPermission -Identity 'sales@contoso.test' -User 'bob@contoso.test'" in lines[1]
    assert instructions.of_account(ACCOUNT, CONNECTOR, MICROSOFT) == []
    assert instructions.of_account(ACCOUNT, CONNECTOR, YANDEX) == []


def named(check: str, found: list[Check]) -> Check:
    """The check of that name, of which there is one."""
    (one,) = (each for each in found if each.check == check)
    return one


def results(report: Mapping[str, Any]) -> dict[str, str]:
    """How each check came out."""
    return {one["check"]: one["result"] for one in report["checks"]}


@pytest.mark.parametrize("provider", ["microsoft", "google"])
def test_what_works_is_found_well(mailing: World, mail: MailServerClient, provider: Any) -> None:
    found = mailing.connected(provider)

    of_account = mailing.functions.connect("doctor_account", {"account_id": found.id})
    of_connector = mailing.functions.connect("doctor_connector", {"connector_id": found.connector})

    assert of_account["ok"] is True
    assert results(of_account)["sign_in"] == "pass"
    assert results(of_account)["same_person"] == "pass"
    assert of_connector["ok"] is True
    assert results(of_connector)["credential_taken"] == "pass"
    for report in (of_account, of_connector):
        assert report["checks"][-1]["message"].startswith("Cannot be seen from here")
        assert report["checks"][-1]["fix"]
    assert mail.messages() == []
    assert mailing.access_tokens.fresh(found.id).value.reveal() not in str(of_account)


def test_smtp_that_is_off_is_found_before_a_message_is_sent(mailing: World, mail: MailServerClient) -> None:
    found = mailing.connected("microsoft")
    mail.mailbox(found.address, smtp_auth=False)

    report = mailing.functions.connect("doctor_account", {"account_id": found.id})

    assert report["ok"] is False
    assert results(report)["smtp_auth"] == "fail"
    assert f"'{found.address}'" in next(one["fix"] for one in report["checks"] if one["check"] == "smtp_auth")


def test_an_account_that_was_never_connected_is_signed_in_nowhere(
    mailing: World, mail: MailServerClient
) -> None:
    found = mailing.account(mailing.connector("google"))

    report = mailing.functions.connect("doctor_account", {"account_id": found.id})

    assert results(report)["consent"] == "fail"
    assert results(report)["sign_in"] == "skip"
    assert mail.sessions() == []


def test_an_application_is_examined_with_the_lines_for_its_mailbox(
    mailing: World, mail: MailServerClient
) -> None:
    ours = application(mailing, "certificate")
    found = opened(mailing, mail, ours)
    assert mailing.direct.connect(found.id, "client_credentials")["ok"] is True

    of_account = mailing.functions.connect("doctor_account", {"account_id": found.id})
    of_connector = mailing.functions.connect("doctor_connector", {"connector_id": ours.id})

    assert (of_account["ok"], of_connector["ok"]) == (True, True)
    assert results(of_connector)["credential_end"] in {"pass", "warn"}
    assert len(of_account["instructions"]) == 3
    lines = "\n".join(of_account["instructions"][0]["lines"])
    assert f"'{found.address}'" in lines
    assert f"-AppId '{ours.client_id}'" in lines
    assert [one["check"] for one in of_account["checks"] if "from here" in one["message"]] == [
        "mailbox_permission",
        "application_permission",
    ]


def test_a_service_account_is_examined_with_what_the_admin_console_wants(
    mailing: World, mail: MailServerClient
) -> None:
    ours = service_account(mailing)

    report = mailing.functions.connect("doctor_connector", {"connector_id": ours.id})

    assert report["ok"] is True
    assert report["instructions"][0]["lines"][0] == f"Client ID: {ours.client_id}"
    assert report["checks"][-1]["check"] == "delegation"


def test_a_secret_that_is_an_id_is_found(mailing: World) -> None:
    ours = mailing.registry.new_connector("microsoft", "", "app", "common")
    mailing.credentials.save(ours.id, TENANT)
    mailing.registry.add_connector(ours)

    report = mailing.functions.connect("doctor_connector", {"connector_id": ours.id})

    assert results(report)["secret_is_no_id"] == "fail"
    assert report["ok"] is False


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        ("doctor_connector", {"connector_id": new_id("con")}),
        ("doctor_account", {"account_id": new_id("acc")}),
    ],
)
def test_what_does_not_exist_is_not_examined(mailing: World, op: str, arguments: dict[str, str]) -> None:
    with pytest.raises(NotFound):
        mailing.functions.connect(op, arguments)
