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

if TYPE_CHECKING:
    from sandbox.cast import Cast
    from sandbox.stack import Sandbox

SECONDS = 240
EXAMPLES = "10"
"""Requests for each operation, some that fit its description and some that do not."""

PHASES = "coverage,fuzzing" if os.environ.get("THOROUGH") else "fuzzing"
"""With THOROUGH=1 also the limits of every value, which takes a minute more."""

CHECKS = "not_a_server_error,content_type_conformance,response_schema_conformance"
"""The last proves the one shape of errors, which the description has for every answer but a success."""

CONFIGURATION = """
headers = {{ Authorization = "Bearer {key}" }}
tls-verify = "{cafile}"
base-url = "{url}"
# The others only show once more what API Gateway says to a method that a path does not have.
phases.coverage.unexpected-methods = ["TRACE"]
"""


def described(sandbox: Sandbox) -> dict[str, Any]:
    """The description as everybody gets it, without a key."""
    answer = requests.get(f"{sandbox.url}/openapi.json", verify=str(sandbox.authority.cafile), timeout=30)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def with_account(found: dict[str, Any], account: str) -> dict[str, Any]:
    """The description with an account that is there: a random one would lead to 404 and no further."""
    operations = [operation for path in found["paths"].values() for operation in path.values()]
    for parameter in [one for operation in operations for one in operation.get("parameters", [])]:
        if parameter["name"] == "account":
            parameter["schema"] = {"anyOf": [{"enum": [account]}, {"type": "string"}]}
    found["components"]["schemas"]["SendRequest"]["properties"]["account"] = {"enum": [account]}
    return found


def test_no_request_is_answered_by_a_server_error(sandbox: Sandbox, cast: Cast, tmp_path: Path) -> None:
    """Requests that fit the description and requests that do not; each refusal has the one shape."""
    account = cast.connected("google", f"described-{secrets.token_hex(4)}@example.com")
    schema, configuration = tmp_path / "openapi.json", tmp_path / "schemathesis.toml"
    schema.write_text(json.dumps(with_account(described(sandbox), account["id"])))
    configuration.write_text(
        CONFIGURATION.format(key=sandbox.key, cafile=sandbox.authority.cafile, url=sandbox.url)
    )
    command = [str(Path(sys.executable).with_name("st")), "--no-color", "--config-file", str(configuration)]
    command += ["run", str(schema), "--phases", PHASES, "--max-examples", EXAMPLES]
    command += ["--checks", CHECKS, "--workers", "2", "--generation-deterministic"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, text=True, timeout=SECONDS)

    assert done.returncode == 0, done.stdout + done.stderr
    assert " generated, " in done.stdout
    assert f"Tested: {sum(map(len, described(sandbox)['paths'].values()))}" in done.stdout
