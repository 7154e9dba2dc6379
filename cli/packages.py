"""Packages that were built before, found by all that they are made from."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import cli.architectures
import cli.materials
import cli.package
import cli.symbols
from cli.package import LEFT_OUT, PROJECT, SOURCES, Package

PACKAGES: Final = PROJECT / "build" / "packages"
_KEPT: Final = 4  # besides the one that is asked for, for who goes back and forth between sources
_HASH_LENGTH: Final = 16


def packaged(packages: Path = PACKAGES, *, project: Path = PROJECT) -> Package:
    """Return the package of `project` as it is now, built unless the directory `packages` has it.

    It is found by a hash of all that it is made from, so that no other is taken for it. Several processes may
    ask at once: one builds, the others wait. Raises PackageError as `cli.package.package` does.
    """
    packages.mkdir(parents=True, exist_ok=True)
    with (packages / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        directory = packages / _hash(project)
        if not directory.exists():
            _forget_oldest(packages)
            with TemporaryDirectory(dir=packages) as temporary:
                built = cli.package.package(Path(temporary) / "package", project=project)
                built.artifact.parent.rename(directory)
        directory.touch()  # the age tells which one is forgotten
        return Package.read(directory)


def _hash(project: Path) -> str:
    """Return a hash of the sources, and of what turns them into a package."""
    found = hashlib.sha256(f"{sys.version} {version('chalice')}".encode())
    for module in (cli.package, cli.materials, cli.architectures, cli.symbols):
        found.update(Path(str(module.__file__)).read_bytes())
    for path in _sources(project):
        content = path.read_bytes()
        found.update(f"\n{path.relative_to(project)} {len(content)}\n".encode() + content)
    return found.hexdigest()[:_HASH_LENGTH]


def _sources(project: Path) -> list[Path]:
    roots = [project / name for name in SOURCES]
    paths = [*roots, *(path for root in roots for path in root.rglob("*"))]
    return sorted(path for path in paths if path.is_file() and not set(path.parts) & set(LEFT_OUT))


def _forget_oldest(packages: Path) -> None:
    found = [path for path in packages.iterdir() if path.is_dir()]
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)[_KEPT:]:
        shutil.rmtree(path)
