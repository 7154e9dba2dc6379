"""The package and its deployment into the sandbox's AWS, once for each worker."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from cli.cloudformation import Stack
from cli.main import main
from cli.packages import packaged
from sandbox.aws.deploy import deploy
from sandbox.aws.emulator import (
    REGION,
    ROOT_ACCESS_KEY_ID,
    ROOT_SECRET_ACCESS_KEY,
    Emulator,
    EmulatorSession,
)
from sandbox.aws.front import Front
from sandbox.certs import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.package import Package


@pytest.fixture(scope="session")
def built() -> Package:
    return packaged()


@pytest.fixture(scope="session")
def unpacked(built: Package, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("tree")
    with zipfile.ZipFile(built.artifact) as archive:
        archive.extractall(tree)
    return tree


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("certs"))


@dataclass(frozen=True)
class Deployed:
    """A stage in an AWS account on this machine, and the front's URL."""

    stage: str
    session: EmulatorSession
    url: str

    def name(self, what: str) -> str:
        """Return the name of a table, queue or function of the stage."""
        return f"mailgrant-{self.stage}-{what}"

    def deploy(self, built: Package) -> dict[str, str]:
        """Deploy the stage, or update it."""
        settings = {"PublicUrl": self.url, "SendAlias": "orders", "Architecture": "x86_64"}
        return deploy(self.session, built, self.stage, settings, print)


@pytest.fixture(scope="session")
def aws(built: Package, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    emulator = Emulator(tmp_path_factory.mktemp("aws") / "emulator")
    front = Front(authority.issue("front"), emulator.port)
    emulator.start()
    front.start()
    deployed = Deployed("test", emulator.session(), front.url)
    try:
        deployed.deploy(built)
        yield deployed
    finally:
        front.stop()
        emulator.stop()


@dataclass(frozen=True)
class Account:
    """An AWS account on this machine, and the command line as somebody uses it there."""

    emulator: Emulator
    home: Path

    @property
    def session(self) -> EmulatorSession:
        return self.emulator.session()

    def run(self, *arguments: str, stdin: str = "", **env: Any) -> Result:
        """Run a command with root's credentials, and none of those of who runs the tests."""
        mine: dict[str, str | None] = {
            "AWS_ENDPOINT_URL": self.emulator.endpoint,
            "AWS_ENDPOINT_URL_STS": None,
            "AWS_ACCESS_KEY_ID": ROOT_ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": ROOT_SECRET_ACCESS_KEY,
            "AWS_SESSION_TOKEN": None,
            "AWS_PROFILE": None,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": None,
            "AWS_CONFIG_FILE": str(self.home / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.home / "credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return CliRunner().invoke(main, list(arguments), env=mine | env, input=stdin)

    def done(self, *arguments: str, stdin: str = "") -> str:
        """Run a command that works, and return what it printed."""
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code == 0, result.output
        return result.stdout

    def deploy(self, stage: str, *arguments: str) -> dict[str, Any]:
        """Deploy without being asked, and return what was handed over."""
        found: dict[str, Any] = json.loads(
            self.done("deploy", "--stage", stage, "--yes", "--json", *arguments)
        )
        return found

    def refused(self, *arguments: str, exit_code: int = 1, **env: Any) -> dict[str, str]:
        """Run a command that cannot work, and return its error."""
        result = self.run(*arguments, "--yes", "--json", **env)
        assert result.exit_code == exit_code, result.output
        error: dict[str, str] = json.loads(result.stderr.splitlines()[-1])["error"]
        assert error["fix"]
        assert error["docs"] == f"docs/errors.md#{error['code'].replace('_', '-')}"
        return error

    def stack(self, name: str) -> Stack | None:
        return Stack.find(self.session.client("cloudformation"), name)


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    emulator = Emulator(tmp_path_factory.mktemp("aws") / "emulator")
    emulator.start()
    yield Account(emulator, tmp_path_factory.mktemp("home"))
    emulator.stop()
