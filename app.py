"""The Lambda functions of Mailgrant, one short body each.

Triggers are declared here and nowhere else: a trigger on a Blueprint becomes a Lambda function that never
imports this file. HTTP routes live on the Blueprints of chalicelib.web and are served by `APIHandler`.
"""

from __future__ import annotations

from typing import Any

from chalice.app import Chalice, CloudWatchEvent, Rate, SQSEvent

from chalicelib import logs
from chalicelib.settings import entry_point
from chalicelib.web import register
from chalicelib.wiring import gateway, prepare

app = Chalice(app_name="mailgrant", configure_logs=False)
logs.configure()
register(app, gateway, routes=entry_point() in (None, "app"))
prepare(entry_point())


@app.lambda_function()
def connect(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Invoked by `api`: everything of connecting that needs a secret or a key."""
    return gateway().connect_operations.run(event)


@app.lambda_function()
def tokens(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Invoked by `relay`: makes one account's access token fresh; answers {} or {"diagnosis"}."""
    return gateway().token_operations.run(event, until=_until(context))


@app.schedule(Rate(5, unit=Rate.MINUTES))
def refresh_tokens(event: CloudWatchEvent) -> None:
    """Saves rescued refresh tokens, then refreshes what is due; what does not fit goes to `refresh`."""
    gateway().refresh_schedule.run(until=_until(event.context))


@app.on_sqs_message(queue="mailgrant-refresh", batch_size=1)
def refresh(event: SQSEvent) -> None:
    """Refreshes one chunk of accounts."""
    for record in event:
        gateway().refresh_schedule.run_chunk(record.body, until=_until(event.context))


@app.lambda_function()
def send(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Accepts a message from another function or service of the same AWS account."""
    arn, request_id = context.invoked_function_arn, context.aws_request_id
    return gateway().send_operations.run(event, function_arn=arn, request_id=request_id)


@app.on_sqs_message(queue="mailgrant-relay", batch_size=1)
def relay(event: SQSEvent) -> None:
    """Relays one account's mail over one connection."""
    for record in event:
        gateway().relay_schedule.run_wakeup(record.body, until=_until(event.context))


@app.schedule(Rate(1, unit=Rate.MINUTES))
def relay_due(event: CloudWatchEvent) -> None:
    """Looks at the lanes that are due: what no wake-up has found."""
    gateway().relay_schedule.run_due(until=_until(event.context))


def _until(context: Any) -> int:
    """When this invocation ends, in milliseconds since 1970; `context` is Lambda's own."""
    return gateway().clock() + int(context.get_remaining_time_in_millis())
