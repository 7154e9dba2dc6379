"""Clients that others generate from the API's description: their types are those of the requests."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chalicelib.mail.composing.request import SendRequest
from chalicelib.web.api import messages
from chalicelib.web.openapi import document, examples

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".venv-clients"
PYTHON, NODE = TOOLS / "bin" / "python", TOOLS / "node" / "node_modules" / ".bin"

FIELDS = {field.encode_name: field.required for field in msgspec.structs.fields(SendRequest)}
"""Field of a message → whether it is required."""

INSPECT = """
import json, sys, attrs
from client.models import SendRequest
attributes = [one for one in attrs.fields(SendRequest) if one.init]
fields = {
    one.name.rstrip("_"): [getattr(one.type, "__name__", one.type), one.default is attrs.NOTHING]
    for one in attributes
}
again = [SendRequest.from_dict(asked).to_dict() for asked in json.loads(sys.argv[1])]
print(json.dumps({"fields": fields, "again": again}))
"""

USE = """
import type { components, paths } from "./api";

type SendRequest = components["schemas"]["SendRequest"];
type ApiError = components["schemas"]["Error"];

export const least: SendRequest = { account: "sales", to: ["ada@example.net"] };
export const asked: SendRequest[] = %s;

// @ts-expect-error: the account is required
export const without: SendRequest = { to: ["ada@example.net"] };
// @ts-expect-error: a list of recipients is no text
export const text: SendRequest = { account: "sales", to: "ada@example.net" };
// @ts-expect-error: there is no such choice
export const choice: SendRequest = { account: "sales", on_unknown: "retry" };
// @ts-expect-error: there is no such field
export const field: SendRequest = { account: "sales", recipients: [] };

type Refusals = paths["/messages"]["post"]["responses"];
export const told = (refused: Refusals[422]["content"]["application/json"]): ApiError => refused;
export const busy = (refused: Refusals[429]["content"]["application/json"]): ApiError => refused;
"""


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The description in a file, in a directory of its own."""
    path = tmp_path_factory.mktemp("clients") / "openapi.json"
    path.write_text(json.dumps(document()))
    return path


def done(command: list[str | Path], directory: Path) -> str:
    """What a command prints that works."""
    environment = {**os.environ, "PATH": f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}"}
    run = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def requests() -> list[dict[str, Any]]:
    """Every example of a message."""
    return list(examples.REQUESTS[messages.accept].values())


@pytest.fixture(scope="module")
def python_client(described: Path) -> Path:
    """The directory with the package `client`, which was made without a warning."""
    if not PYTHON.exists():
        pytest.fail("what makes clients is not installed: make install-clients")
    generate = ["-m", "openapi_python_client", "generate", "--path", "openapi.json", "--meta", "none"]
    done([PYTHON, *generate, "--output-path", "client", "--fail-on-warning"], described.parent)
    return described.parent


def test_uh7_a_python_client_has_the_fields_of_a_message(python_client: Path) -> None:
    found = json.loads(done([PYTHON, "-c", INSPECT, json.dumps(requests())], python_client))

    assert {name: required for name, (_, required) in found["fields"].items()} == FIELDS
    types = {name: type_ for name, (type_, _) in found["fields"].items()}
    assert types["to"] == "list[NamedAddress | str] | None | Unset"
    assert types["attachments"] == "list[Attachment] | None | Unset"
    assert (types["account"], types["expires_in"]) == ("str", "int | Unset")
    assert not any("Any" in type_ for type_ in types.values())
    assert found["again"] == requests()


def test_uh7_a_python_client_has_one_type_of_errors(python_client: Path) -> None:
    models = {path.stem for path in (python_client / "client" / "models").glob("*.py")}

    assert {name for name in models if "error" in name} == {"error", "error_details"}
    assert not [name for name in models if re.search(r"response_\d+", name)]


def test_uh7_typescript_has_the_fields_of_a_message(described: Path) -> None:
    if not (NODE / "tsc").exists():
        if os.environ.get("REQUIRE_NPM"):
            pytest.fail("npm is not installed, or was not when this was: make clean install-clients")
        pytest.skip("npm is not installed (apt-get install npm), or was not: make clean install-clients")
    directory = described.parent
    (directory / "use.ts").write_text(USE % json.dumps(requests()))

    done([NODE / "openapi-typescript", "openapi.json", "--output", "api.d.ts"], directory)

    done([NODE / "tsc", "--strict", "--noEmit", "--skipLibCheck", "false", "use.ts"], directory)
