"""Starts and stops ministack, the AWS emulator of the sandbox.

What was found out about version 1.5.33, and what follows from it here:

- With AUTH=true every request of a function is checked against its role's policy. Requests signed with the
  access key id `test` are those of the account's root user, whatever their signature: `session()` uses it to
  deploy.
- Without BIND_HOST it listens on every interface, and with `cryptography` installed it opens 0.0.0.0:8883
  unless IOT_MTLS_ENABLED=0.
- It takes any request whose Host is a registered custom domain for that domain's API. The front's domain is
  127.0.0.1, so the emulator's own endpoint is always spelled `localhost`.
- KMS has no ReEncrypt: `sandbox.aws.reencrypting` starts it with that.
- Queue URLs are built from MINISTACK_HOST and GATEWAY_PORT.
- State is written only by a clean stop, so it is not kept: every start begins empty.
"""

from __future__ import annotations

import os
import shutil
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import boto3

from sandbox.processes import Child, ChildError, free_port

EMULATOR_PYTHON: Final = Path(__file__).resolve().parents[2] / ".venv-aws" / "bin" / "python"
REGION: Final = "eu-west-1"
ACCOUNT_ID: Final = "000000000000"
ROOT_ACCESS_KEY_ID: Final = "test"
ROOT_SECRET_ACCESS_KEY: Final = "test"  # noqa: S105 - the emulator does not check root's signature
_START_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.05


@dataclass
class Emulator:
    """One ministack: `directory` takes its log and temporary files, `python` is that of its environment.

    `functions_endpoint` and `sts_endpoint` are where the functions find AWS and its STS, if it is not the
    emulator itself.
    """

    directory: Path
    python: Path = EMULATOR_PYTHON
    port: int = field(default_factory=free_port)
    functions_endpoint: str | None = None
    sts_endpoint: str | None = None
    _child: Child | None = field(default=None, init=False, repr=False)

    @property
    def endpoint(self) -> str:
        """The URL of every AWS service of the emulator."""
        return f"http://localhost:{self.port}"

    @property
    def log_path(self) -> Path:
        """Where the emulator logs, the functions' errors included."""
        return self.directory / "ministack.log"

    def start(self) -> None:
        """Start the emulator, empty, and wait until it answers. Raises ChildError if it does not."""
        if not self.python.exists():
            raise ChildError(f"ministack is not installed at {self.python}; run: make install-aws")
        shutil.rmtree(self.directory, ignore_errors=True)
        temporary = self.directory / "tmp"
        temporary.mkdir(mode=0o700, parents=True)
        self._child = Child(
            "ministack",
            [str(self.python), "-P", str(Path(__file__).with_name("reencrypting.py"))],
            self._environment(),
            self.log_path,
            self.directory,
        )
        self._child.start()
        self._wait_until_healthy(self._child)

    def stop(self) -> None:
        """Stop the emulator and every Lambda worker it started. May be repeated."""
        if self._child is not None:
            self._child.stop()

    def session(self) -> EmulatorSession:
        """Return a boto3 session of the account's root user."""
        return EmulatorSession(self.endpoint)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.python.parent}:{os.defpath}",
            "HOME": str(self.directory),  # not the user's: it reads ~/.aws
            "TMPDIR": str(self.directory / "tmp"),
            "STATE_DIR": str(self.directory / "state"),
            "PERSIST_STATE": "0",
            "AUTH": "true",
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "localhost",
            # For the functions, which would get 127.0.0.1.
            "AWS_ENDPOINT_URL": self.functions_endpoint or self.endpoint,
            "AWS_ENDPOINT_URL_STS": self.sts_endpoint or self.endpoint,
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_REGION": REGION,
            "IOT_MTLS_ENABLED": "0",
            "LOG_LEVEL": "INFO",
            "NO_PROXY": "localhost,127.0.0.1",
        }

    def _wait_until_healthy(self, child: Child) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and child.running():
            if _answers(f"{self.endpoint}/_ministack/health"):
                return
            time.sleep(_POLL_SECONDS)
        failure = child.failure("did not become healthy")
        child.stop()
        raise failure


class EmulatorSession(boto3.Session):
    """A boto3 session of the emulator's root user, all of whose clients speak to the emulator.

    The endpoint is given to every client rather than configured, so that no variable or profile of the person
    who runs the sandbox can send a request to their real AWS account.
    """

    def __init__(self, endpoint: str) -> None:
        """Bind the session to the emulator at the URL `endpoint`."""
        super().__init__(ROOT_ACCESS_KEY_ID, ROOT_SECRET_ACCESS_KEY, region_name=REGION)
        self.endpoint = endpoint

    def client(self, *args: Any, **kwargs: Any) -> Any:
        """Return a client as boto3 does, of the emulator."""
        return super().client(*args, **{"endpoint_url": self.endpoint} | kwargs)

    def resource(self, *args: Any, **kwargs: Any) -> Any:
        """Return a resource as boto3 does, of the emulator."""
        return super().resource(*args, **{"endpoint_url": self.endpoint} | kwargs)


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=1) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004
    except (urllib.error.URLError, OSError):
        return False
