"""A stage's life by the command line, under load: upgraded from the previous commit, destroyed, had back."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import shlex
import shutil
import subprocess
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.clock import now
from chalicelib.settings import Settings
from chalicelib.wiring import Gateway
from cli.package import PROJECT, PackageError
from cli.packages import packaged
from cli.stacks import data_stack_name
from sandbox.aws.emulator import REGION
from sandbox.cast import Cast
from sandbox.stack import ALIAS, STAGE, Sandbox
from tests.conftest import MEASURED
from tests.helpers import copies, in_state, invoke, letter, with_expired_token
from tests.load import Load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cli.package import Package
    from tests.canary.watch import Watch

pytestmark = pytest.mark.aws


@pytest.fixture
def previous(tmp_path: Path, record_property: Callable[[str, object], None]) -> Package:
    """The package of the commit before what is here: of the last one, if the tree has changed since.

    Without that commit (a shallow clone has none), or where it cannot be packaged, it is this tree's own
    package with one file more: other bytes, so that every function is still updated under load.
    """
    commit = git("rev-parse", "--verify", "--quiet", "HEAD" if git("status", "--porcelain") else "HEAD~1")
    try:
        package = packaged(project=checked_out(commit.decode().strip(), tmp_path)) if commit else None
    except (PackageError, OSError):
        package = None
    what = f"commit {commit.decode()[:12]}" if package else "this tree with other bytes"
    record_property(MEASURED, f"Upgraded under load from {what}")
    return package or repacked(packaged(), tmp_path)


def git(*arguments: str) -> bytes:
    """What git prints; nothing where there is no git, no repository or no such commit."""
    command = ["git", "--no-optional-locks", "-C", str(PROJECT), *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=False).stdout
    except FileNotFoundError:
        return b""


def checked_out(commit: str, directory: Path) -> Path:
    """The tree of a commit."""
    tree = directory / "previous"
    with tarfile.open(fileobj=io.BytesIO(git("archive", commit))) as archive:
        archive.extractall(tree, filter="data")
    return tree


def repacked(package: Package, directory: Path) -> Package:
    """The same package with one file more."""
    artifact = directory / "package.zip"
    shutil.copy(package.artifact, artifact)
    with zipfile.ZipFile(artifact, "a") as archive:
        archive.writestr("earlier.txt", "earlier")
    digest = hashlib.sha256(artifact.read_bytes()).hexdigest()
    return dataclasses.replace(package, artifact=artifact, sha256=digest)


@dataclasses.dataclass(frozen=True)
class Operator:
    """Who runs the commands, with credentials of the sandbox's AWS and nothing else."""

    sandbox: Sandbox
    home: Path

    def run(self, *command: str) -> dict[str, Any]:
        """What a command answers when all goes well."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "AWS_ENDPOINT_URL": self.sandbox.emulator.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
        }
        line = [str(PROJECT / "mailgrant"), *command, "--yes", "--json"]
        done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def stacks(self) -> dict[str, str]:
        """The stacks that there are, with their status."""
        found = self.sandbox.emulator.session().client("cloudformation").describe_stacks()["Stacks"]
        return {one["StackName"]: one["StackStatus"] for one in found}

    def functions(self) -> list[str]:
        """The functions that there are."""
        found = self.sandbox.emulator.session().client("lambda").list_functions()["Functions"]
        return [one["FunctionName"] for one in found]


@pytest.fixture
def operator(
    previous: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, canaries: Watch
) -> Iterator[Operator]:
    """An operator of a sandbox of its own, into which the previous package was deployed."""
    sandbox = Sandbox(tmp_path / "sandbox", say=lambda _: None, schedules=False)
    try:
        sandbox.start_servers()
        sandbox.deploy(previous)
        sandbox.key = sandbox.administrator_key()
        for name, value in sandbox.environment.items():
            monkeypatch.setenv(name, value)
        with canaries.sandbox(sandbox):
            yield Operator(sandbox, tmp_path)
    finally:
        sandbox.stop()


def test_upgraded_under_load_destroyed_and_had_back(operator: Operator) -> None:
    """All that was accepted arrives, nothing twice in silence; keys, mailboxes and mail outlive it all."""
    sandbox, cast = operator.sandbox, Cast(operator.sandbox)
    busy = cast.connected("google", "busy@example.com")
    waiting = cast.connected("microsoft", "waiting@example.com")
    before = deferred(cast, waiting)
    cast.api.post(
        "/v1/callers",
        {"kind": "lambda", "alias": ALIAS, "name": "load", "scopes": ["send"], "accounts": ["*"]},
    )

    with Load(cast, busy["id"]) as load:
        upgraded = operator.run("deploy", "--stage", STAGE)
        sandbox.adopt(packaged())

    settings = Settings.from_env(sandbox.environment)
    load.require_sent(lambda ahead: Gateway(settings, clock=lambda: now() + ahead))
    require_sent_once(cast, before)
    assert (upgraded["package"], upgraded["url"]) == (packaged().sha256, sandbox.url)
    assert upgraded["administrator_key"] is None

    # What the previous version has stored gets new wrappings, under which the rest of this is sent.
    assert cast.api.post("/v1/encryption/rewrap", {}) == {
        "rewrapped": 4,  # of each mailbox the grant and the access token
        "busy": [],
        "unreadable": [],
        "cursor": None,
    }

    idle = with_expired_token(cast, "microsoft")
    queued, asked = deferred(cast, waiting), len(sandbox.provider.token_requests())
    destroyed = operator.run("destroy", "--stage", STAGE)
    stacks, functions = operator.stacks(), operator.functions()
    _, *command = shlex.split(destroyed["again"])
    again = operator.run(*command)
    sandbox.adopt(packaged())

    assert any("mailboxes, tokens, messages" in line for line in destroyed["kept"])
    # The data stack was updated if this version has another one than the commit before.
    assert list(stacks) == [data_stack_name(STAGE)]
    assert stacks[data_stack_name(STAGE)] in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
    assert functions == []
    assert again["administrator_key"] is None
    assert cast.api.get("/v1/status")["status"] == "starting"
    require_sent_once(cast, queued)
    require_sent_once(cast, cast.api.post("/v1/messages", letter(idle["id"]))["id"])
    (refreshed,) = sandbox.provider.token_requests()[asked:]
    assert (refreshed.user, refreshed.grant_type) == (idle["address"], "refresh_token")


def deferred(cast: Cast, account: dict[str, Any]) -> str:
    """A message that the mail server did not take yet."""
    cast.sandbox.mail.inject("MAIL", code=451, text="4.3.0 Try again later", user=account["address"])
    message: str = cast.api.post("/v1/messages", letter(account["id"]))["id"]
    in_state(cast, message, "deferred")
    return message


def require_sent_once(cast: Cast, message: str) -> None:
    """The schedule finds the message, and it arrives."""
    sent = in_state(cast, message, "sent", meanwhile=lambda: invoke(cast.sandbox, "relay-due"))
    assert len(copies(cast.sandbox, sent["message_id"])) == 1
