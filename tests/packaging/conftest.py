"""The package and its deployment into the sandbox's AWS, once for each worker."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from cli.packages import packaged
from sandbox.aws.deploy import deploy
from sandbox.aws.emulator import Emulator, EmulatorSession
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
        return deploy(self.session, built, self.stage, {"PublicUrl": self.url, "SendAlias": "orders"}, print)


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
