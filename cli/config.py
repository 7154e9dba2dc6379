"""Where the API is and with which key it is asked.

The first of these that names a URL is used, as a whole:

1. the environment: MAILGRANT_URL, MAILGRANT_KEY and, for a private CA, MAILGRANT_CA (a file);
2. ``~/.config/mailgrant/config.toml``, which ``mailgrant login`` writes;
3. ``.sandbox/cli.json``, which a running sandbox writes.
"""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

SANDBOX = Path(__file__).resolve().parent.parent / ".sandbox" / "cli.json"


@dataclass(frozen=True, slots=True)
class Config:
    """The API's address without a slash at its end, the key, and the file of a private CA, if any."""

    url: str
    key: str = field(repr=False)
    ca: str | None
    source: str


def load(env: Mapping[str, str] = os.environ) -> Config:
    """Finds the configuration; raises click.UsageError when there is none."""
    if env.get("MAILGRANT_URL"):
        found = {name: env.get(f"MAILGRANT_{name.upper()}") for name in ("url", "key", "ca")}
        return _config(found, "the environment")
    for path, parse in ((user_file(env), tomllib.loads), (SANDBOX, json.loads)):
        if path.is_file():
            return _config(parse(path.read_text(encoding="utf-8")), str(path))
    raise click.UsageError(
        "It is not known where the API is. Run 'mailgrant login --url URL', set MAILGRANT_URL and "
        "MAILGRANT_KEY, or start the sandbox with 'make demo'."
    )


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


def user_file(env: Mapping[str, str]) -> Path:
    """The path of the user's configuration, by the XDG base directory specification."""
    base = env.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "mailgrant" / "config.toml"


def _config(found: Mapping[str, Any], source: str) -> Config:
    if not found.get("url"):
        raise click.UsageError(f"{source} names no url.")
    return Config(str(found["url"]).rstrip("/"), str(found.get("key") or ""), found.get("ca") or None, source)
