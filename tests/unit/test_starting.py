"""What a function loads while it starts, as Lambda starts it: no more than its invocations need."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from chalicelib.wiring import ALWAYS_NEEDED, BESIDE, Gateway

ROOT = Path(__file__).resolve().parents[2]

ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    "STAGE": "unit",
    "AWS_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "BUCKET": "unit",
    "RELAY_QUEUE_URL": "https://sqs.example/relay",
}

UNREADABLE = "-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n"

NOT_NEEDED = ("boto3", "msal", "google.auth", "requests", "jinja2", "chalicelib.web.routes")


def loaded(handler: str, environment: dict[str, str]) -> tuple[list[str], int]:
    """The modules of a process that has imported the application for a handler, and its number of routes."""
    script = "import app, json, sys; print(json.dumps([list(sys.modules), len(app.app.routes)]))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**environment, "_HANDLER": handler},
        capture_output=True,
        text=True,
        check=True,
    )
    modules, routes = json.loads(done.stdout)
    return modules, routes


@pytest.mark.parametrize("function", ["send", "relay"])
def test_a_function_without_http_loads_aws_and_neither_routes_nor_providers(function: str) -> None:
    modules, routes = loaded(f"app.{function}", ENVIRONMENT)

    assert "botocore.client" in modules
    assert not [name for name in NOT_NEEDED if name in modules]
    assert routes == 0


def test_relay_does_not_load_what_reads_addresses() -> None:
    modules, _ = loaded("app.relay", ENVIRONMENT)

    assert not {"email.headerregistry", "email_validator"} & set(modules)


def test_the_function_with_http_has_its_routes() -> None:
    modules, routes = loaded("app.app", ENVIRONMENT)

    assert "botocore.client" in modules
    assert routes > 0


def test_settings_that_cannot_be_used_are_told_by_the_first_invocation() -> None:
    modules, _ = loaded("app.send", {"PYTHONPATH": str(ROOT)})

    assert "botocore.client" not in modules


@pytest.mark.parametrize(("authorities", "said"), [("", "True"), (UNREADABLE, "False")])
def test_relay_has_read_the_authorities_unless_they_cannot_be_read(authorities: str, said: str) -> None:
    script = "import app; print('tls' in app.gateway().__dict__)"
    environment = {**ENVIRONMENT, "_HANDLER": "app.relay", "EXTRA_CA": authorities}

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )

    assert (done.stdout.strip(), done.stderr) == (said, "")


@pytest.mark.parametrize("function", ALWAYS_NEEDED)
def test_what_is_prepared_is_a_part_of_the_gateway(function: str) -> None:
    for part in (*ALWAYS_NEEDED[function], *BESIDE.get(function, ())):
        assert hasattr(Gateway, part.partition(".")[0])
