"""The API's description, and what schemathesis finds by it: no request is answered by a 5xx."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from chalicelib.web.api.table import ROUTES
from tests.contract import with_codes
from tests.helpers import letter

if TYPE_CHECKING:
    from sandbox.cast import Cast
    from sandbox.stack import Sandbox

SECONDS = 240
EXAMPLES = "5"
"""Requests for each operation, some that fit its description and some that do not."""

PHASES = "coverage,fuzzing" if os.environ.get("THOROUGH") else "fuzzing"
"""With THOROUGH=1 also the limits of every value, which takes a minute more."""

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)
"""Every status is one of those that are described, with its codes, and what is wrong is refused."""

CONFIGURATION = """
headers = {{ Authorization = "Bearer {key}" }}
tls-verify = "{cafile}"
base-url = "{url}"
# The others only show once more what API Gateway says to a method that a path does not have.
phases.coverage.unexpected-methods = ["TRACE"]
# Ids that were answered are not asked for again: it would revoke its own key.
phases.fuzzing.extra-data-sources.responses = false
phases.coverage.extra-data-sources.responses = false
"""


def described(sandbox: Sandbox) -> dict[str, Any]:
    """The description as everybody gets it, without a key."""
    answer = requests.get(f"{sandbox.url}/openapi.json", verify=str(sandbox.authority.cafile), timeout=30)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def with_ids(found: dict[str, Any], known: dict[str, str]) -> dict[str, Any]:
    """The description with things that are there: random ids would lead to 404 and no further."""
    del found["paths"]["/healthz"]  # not below /v1, where the others are
    operations = [operation for path in found["paths"].values() for operation in path.values()]
    for responses in [found["components"]["responses"], *(one["responses"] for one in operations)]:
        responses.update({status: with_codes(one) for status, one in responses.items()})
    for parameter in [one for operation in operations for one in operation["parameters"]]:
        if parameter["name"] in known:
            parameter["schema"] = {"anyOf": [{"enum": [known[parameter["name"]]]}, parameter["schema"]]}
    found["components"]["schemas"]["SendRequest"]["properties"]["account"] = {"enum": [known["account"]]}
    return found


def test_no_request_is_answered_by_a_server_error(sandbox: Sandbox, cast: Cast, tmp_path: Path) -> None:
    """Requests that fit the description and requests that do not; each refusal has the one shape."""
    account = cast.connected("google", f"described-{secrets.token_hex(4)}@example.com")
    message = cast.api.post("/v1/messages", letter(account["id"]))
    known = {"account": account["id"], "connector": account["connector"], "message": message["id"]}
    schema, configuration = tmp_path / "openapi.json", tmp_path / "schemathesis.toml"
    schema.write_text(json.dumps(with_ids(described(sandbox), known)))
    configuration.write_text(
        CONFIGURATION.format(key=sandbox.key, cafile=sandbox.authority.cafile, url=f"{sandbox.url}/v1")
    )
    command = [str(Path(sys.executable).with_name("st")), "--no-color", "--config-file", str(configuration)]
    command += ["run", str(schema), "--phases", PHASES, "--max-examples", EXAMPLES]
    command += ["--checks", ",".join(CHECKS), "--workers", "2", "--generation-deterministic"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, text=True, timeout=SECONDS)

    assert done.returncode == 0, done.stdout + done.stderr
    assert " generated, " in done.stdout
    assert f"Tested: {len(ROUTES)}" in done.stdout
