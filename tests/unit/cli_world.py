"""The command line over the application's real parts: its requests go over HTTP into this process."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from chalicelib.callers.models import Scope
from cli.main import main
from tests.unit.accounts_world import world
from tests.unit.web_services import client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.accounts_world import World

__all__ = ["world"]

_IDS = re.compile(r"/(con|acc|msg|key)_\w+")


@dataclass
class Terminal:
    """Runs commands as an administrator of a world; `asked` are the routes that they have asked for."""

    world: World
    url: str
    key: str
    home: Path
    asked: list[str]
    ca: str | None = None

    def __call__(self, *arguments: str, stdin: str = "") -> Result:
        """Runs one command."""
        env = {"MAILGRANT_URL": self.url, "MAILGRANT_KEY": self.key, "XDG_CONFIG_HOME": str(self.home)}
        return CliRunner().invoke(main, arguments, env={**env, "MAILGRANT_CA": self.ca}, input=stdin)

    def says(self, *arguments: str, stdin: str = "") -> str:
        """What a command prints that works."""
        result = self(*arguments, stdin=stdin)
        assert result.exit_code == 0, result.output
        return result.output


@pytest.fixture
def terminal(world: World, tmp_path: Path) -> Iterator[Terminal]:
    """The command line, configured for a world."""
    _, key = world.callers.create_key("terminal", {Scope.ADMIN}, ["*"])
    services: Any = world
    http = client(services).http
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            asked.append(_IDS.sub("/{}", f"{self.command} {self.path.partition('?')[0]}"))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = http.request(self.command, self.path, headers=dict(self.headers), body=body)
            self.send_response(answer.status_code)
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - the names of http.server

        def log_message(self, *_: Any) -> None:
            """Keeps the test's output clean."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Terminal(world, url, key.reveal(), tmp_path, asked)
        server.shutdown()
        thread.join()
