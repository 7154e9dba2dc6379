"""Where the API is and with which key it is asked.

The first of these that names a URL is used, as a whole:

1. the environment: MAILGRANT_URL, MAILGRANT_KEY and, for a private CA, MAILGRANT_CA (a file);
2. the sandbox that runs in the directory MAILGRANT_SANDBOX_DIRECTORY of the environment;
3. ``~/.config/mailgrant/config.toml``, which ``mailgrant login`` writes;
4. the sandbox that runs in ``.sandbox``.

A sandbox writes the file cli.json into its directory, and removes it when it ends.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import json
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SANDBOX_DIRECTORY = "MAILGRANT_SANDBOX_DIRECTORY"
CONFIGURATION = "cli.json"


class NotConfigured(click.UsageError):
    """It is not known where the API is, or with which key it is asked; `fix` says how to tell it."""

    fix = (
        "Run `mailgrant login --url URL`, set MAILGRANT_URL and MAILGRANT_KEY, or start the sandbox with "
        "`make demo`."
    )


@dataclass(frozen=True, slots=True)
class Config:
    """The API's address without a slash at its end, the key, and the file of a private CA, if any."""

    url: str
    key: str = field(repr=False)
    ca: str | None
    source: str


def load(env: Mapping[str, str] = os.environ) -> Config:
    """Finds the configuration; raises NotConfigured when there is none that can be used."""
    try:
        return _load(env)
    except click.UsageError as error:
        raise NotConfigured(error.message) from error


def _load(env: Mapping[str, str]) -> Config:
    sandbox = sandbox_directory(env) / CONFIGURATION
    if not env.get("MAILGRANT_URL") and env.get(SANDBOX_DIRECTORY) and not sandbox.is_file():
        raise click.UsageError(f"No sandbox runs in {sandbox.parent}, which {SANDBOX_DIRECTORY} names.")
    for read in _places(env):
        return read()
    raise click.UsageError("It is not known where the API is.")


def known(env: Mapping[str, str] = os.environ) -> list[Config]:
    """Every configuration that there is, the one that is used first. What cannot be read is left out."""
    found = []
    for read in _places(env):
        with contextlib.suppress(click.UsageError):
            found.append(read())
    return found


def _places(env: Mapping[str, str]) -> Iterator[Callable[[], Config]]:
    """Reads each place in which there is a configuration, in the order in which they win."""
    if env.get("MAILGRANT_URL"):
        found = {name: env.get(f"MAILGRANT_{name.upper()}") for name in ("url", "key", "ca")}
        yield lambda: checked(found, "the environment")
    sandbox = sandbox_directory(env) / CONFIGURATION
    files = (user_file(env), sandbox)
    for path in reversed(files) if env.get(SANDBOX_DIRECTORY) else files:
        if path.is_file():
            parse = json.loads if path == sandbox else tomllib.loads
            yield functools.partial(_checked_file, path, parse)


def checked(found: Mapping[str, Any], source: str) -> Config:
    """The configuration that `source` has, by the names of its fields; raises click.UsageError."""
    url, key, ca = (str(found.get(name) or "") for name in ("url", "key", "ca"))
    if not url:
        raise click.UsageError(f"{source} names no url.")
    require_https(url)
    if not (key.isascii() and key.isprintable()):
        raise click.UsageError(f"The key of {source} is not an API key (mg_…).")
    if ca and not Path(ca).is_file():
        raise click.UsageError(f"The file {ca} is not there, which {source} names as a CA.")
    return Config(url.rstrip("/"), key, ca or None, source)


def save(config: Config, env: Mapping[str, str] = os.environ) -> Path:
    """Writes the user's configuration, readable by the user only, and returns its path."""
    path = user_file(env)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"url = {json.dumps(config.url)}", f"key = {json.dumps(config.key)}"]
    if config.ca:
        lines.append(f"ca = {json.dumps(str(Path(config.ca).resolve()))}")
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return path


def sandbox_directory(env: Mapping[str, str]) -> Path:
    """The directory that a sandbox runs in, unless it is told another: ``.sandbox`` of this repository."""
    return Path(env.get(SANDBOX_DIRECTORY) or Path(__file__).parent.parent / ".sandbox").resolve()


def user_file(env: Mapping[str, str]) -> Path:
    """The path of the user's configuration, by the XDG base directory specification."""
    base = env.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "mailgrant" / "config.toml"


def require_https(url: str) -> None:
    """Raises click.UsageError for a URL over which the key would be readable on its way."""
    try:
        parts = urlsplit(url)
        strange = parts.username is not None or parts.query or parts.fragment
        named = bool(parts.hostname) and parts.port != 0 and not strange
    except ValueError:
        named = False
    if not named:
        raise click.UsageError(f"{url} is not a URL, such as https://mail.example.com.")
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        return
    raise click.UsageError(f"{url} does not begin with https://; the key would be readable on its way.")


def is_loopback(host: str) -> bool:
    """Whether the host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _checked_file(path: Path, parse: Callable[[str], Any]) -> Config:
    return checked(_read(path, parse), str(path))


def _read(path: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
    try:
        found = parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{path} cannot be read ({type(error).__name__}).") from error
    if not isinstance(found, dict):
        raise click.UsageError(f"{path} names no url.")
    return found
