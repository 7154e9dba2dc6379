"""The application stack holds no data: deleted and deployed again, everything is still there and flows."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import secrets
import shutil
import zipfile
from typing import TYPE_CHECKING

from click.testing import CliRunner

from cli.main import main
from sandbox.stack import STAGE
from tests.helpers import SHORT_LIFE, USUAL_LIFE, copies, in_state, invoke, letter, token_expired
from tests.load import Load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from chalicelib.wiring import Gateway
    from cli.package import Package
    from sandbox.cast import Cast
    from sandbox.stack import Sandbox


def test_deleted_and_deployed_again(sandbox: Sandbox, cast: Cast) -> None:
    """Accounts, tokens and queued mail outlive the application; a key and a refresh still work after it."""
    sandbox.provider.set_lifetime(access=SHORT_LIFE)
    account = cast.connected("microsoft", f"owner-{secrets.token_hex(4)}@example.com")
    sandbox.mail.inject("MAIL", code=451, text="4.3.0 Try again later", user=account["address"])
    waiting = cast.api.post("/v1/messages", letter(account["id"], subject="Queued before"))["id"]
    in_state(cast, waiting, "deferred")
    token_expired(cast.api.get(f"/v1/accounts/{account['id']}"))
    sandbox.provider.set_lifetime(access=USUAL_LIFE)
    asked = len(sandbox.provider.token_requests())

    sandbox.delete_application()
    gone = sandbox.emulator.session().client("lambda").list_functions()["Functions"]
    sandbox.deploy(sandbox.package)

    after = cast.api.post("/v1/messages", letter(account["id"], subject="Queued after"))["id"]
    for message in (after, waiting):
        sent = in_state(cast, message, "sent", meanwhile=lambda: invoke(sandbox, "relay-due"))
        assert len(copies(sandbox, sent["message_id"])) == 1
    (refreshed,) = sandbox.provider.token_requests()[asked:]
    assert gone == []
    assert (refreshed.user, refreshed.grant_type) == (account["address"], "refresh_token")
    assert cast.api.get(f"/v1/accounts/{account['id']}")["status"] == "connected"


def test_deployed_over_itself_under_load(
    sandbox: Sandbox,
    cast: Cast,
    later: Callable[[int], Gateway],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """New code by the command line: what waits is sent, and so is what is accepted meanwhile, each once."""
    account, waiting = (
        cast.connected("google", f"owner-{secrets.token_hex(4)}@example.com") for _ in range(2)
    )
    sandbox.mail.inject("MAIL", code=451, text="4.3.0 Try again later", user=waiting["address"])
    queued = cast.api.post("/v1/messages", letter(waiting["id"], subject="Queued before"))["id"]
    in_state(cast, queued, "deferred")
    other = repacked(sandbox.package, tmp_path)
    monkeypatch.setattr("cli.deployment.packaged", lambda: other)

    with Load(cast, account["id"]) as load:
        done = CliRunner().invoke(
            main,
            ["deploy", "--stage", STAGE, "--yes", "--json"],
            env={"AWS_ENDPOINT_URL": sandbox.emulator.endpoint},
        )
        sandbox.adopt(other)

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["package"] == other.sha256
    load.require_sent(later)
    sent = in_state(cast, queued, "sent", meanwhile=lambda: invoke(sandbox, "relay-due"))
    assert len(copies(sandbox, sent["message_id"])) == 1


def repacked(package: Package, directory: Path) -> Package:
    """The same package with one file more, and so with other bytes, as a later commit would have."""
    artifact = directory / "package.zip"
    shutil.copy(package.artifact, artifact)
    with zipfile.ZipFile(artifact, "a") as archive:
        archive.writestr("later.txt", "later")
    digest = hashlib.sha256(artifact.read_bytes()).hexdigest()
    return dataclasses.replace(package, artifact=artifact, sha256=digest)
