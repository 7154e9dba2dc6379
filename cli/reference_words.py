"""What people wrote of docs/api.md: its beginning, and the command for each operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chalicelib.web.api import accounts, callers, connectors, encryption, messages, providers, status
from chalicelib.web.openapi.examples import ADDRESS, CALLER, CONNECTOR, MESSAGE, ROLE

if TYPE_CHECKING:
    from chalicelib.web.api.table import ApiView

COMMANDS: Final[dict[ApiView, str]] = {
    providers.listed: "providers",
    connectors.create: "connectors add --provider microsoft --name 'Our tenant' --client-id 1b6e…",
    connectors.listed: "connectors list",
    connectors.show: f"connectors show {CONNECTOR}",
    connectors.change: f"connectors update {CONNECTOR} --name 'Our tenant in Europe'",
    connectors.delete: f"connectors delete {CONNECTOR}",
    connectors.replace_secret: f"connectors secret {CONNECTOR}",
    connectors.doctor: f"connectors doctor {CONNECTOR}",
    accounts.create: f"accounts add --connector {CONNECTOR} --name sales {ADDRESS}",
    accounts.listed: "accounts list",
    accounts.show: "accounts show sales",
    accounts.change: "accounts rename sales sales-europe --display-name 'Sales in Europe'",
    accounts.renew_link: "connect sales",
    accounts.connect: "accounts connect sales --auth-mode client_credentials",
    accounts.roll_back: "accounts rollback sales",
    accounts.pause: "accounts pause sales --reason 'The team is on holiday.'",
    accounts.resume: "accounts resume sales",
    accounts.verify: "accounts verify sales",
    accounts.doctor: "accounts doctor sales",
    accounts.disconnect: "accounts disconnect sales",
    accounts.delete: "accounts delete sales",
    accounts.restore: "accounts restore sales",
    messages.accept: "send --account sales --to ada@example.net --subject 'Your order' --text 'On its way.'",
    messages.listed: "messages list --account sales",
    messages.show: f"messages show {MESSAGE}",
    messages.resolve: f"messages resolve {MESSAGE} --as sent",
    messages.cancel: f"messages cancel {MESSAGE}",
    callers.create: (
        "keys create shop --scope send --account sales --days 90\n"
        f"./mailgrant callers allow reports --role {ROLE} --scope read --account '*'"
    ),
    callers.listed: "callers list",
    callers.limit: f"callers limit {CALLER} --from {ADDRESS} --per-minute 30",
    callers.revoke_by_query: f"callers revoke role:{ROLE}",
    callers.revoke: f"keys revoke {CALLER}",
    callers.whoami: "whoami",
    status.show: "status",
    encryption.rewrap: "encryption rewrap",
}
"""View → the command, or the commands, that ask for the same."""

HEADINGS: Final = {"status": "The installation"}
"""Noun → its heading, where that is another word."""

NOT_RUN: Final = "<!-- not run: another test sends the request of each operation -->"
"""Stands before each command, so that it is not run twice."""

HEAD: Final = """\
# The API

`make reference` makes this page from the types by which the API reads and answers. `GET /openapi.json` gives
the same as OpenAPI 3.1. [message.schema.json](message.schema.json) is the JSON schema of a message, for
callers of the function `send`.

**Where.** At the URL that `make deploy` printed, here `$MAILGRANT_URL`. Each operation is there twice: under
`/v1` for API keys (`Authorization: Bearer mg_…`), and under `/iam/v1` for IAM roles and users, who sign their
requests with AWS Signature Version 4 for the service `execute-api`.

**Who.** A caller has scopes and accounts. `send` hands in messages and sees its own. `read` sees accounts,
connectors and all messages. `admin` may do everything with its accounts; with all accounts (`"*"`) it also
makes connectors, accounts and callers, which belong to no single one.

**How.** Bodies and answers are JSON. A field that is not known is refused. Times are RFC 3339 in UTC. Lists
come in pages: the `cursor` of one page asks for the next, and is null on the last. An account may be named by
its id or its name.

**Refusals** have one shape. [errors.md](errors.md) explains every code.

```json
{"error": {"code": "name_taken", "message": "…", "fix": "…", "docs": "…", "field": "name"}}
```
"""

OPEN: Final = """\
## Without a key

`GET /healthz` answers `{"status": "ok", "stage": "prod"}` when the API can be reached, and
`GET /openapi.json` the description of all this. Neither stands under `/v1`.
"""
