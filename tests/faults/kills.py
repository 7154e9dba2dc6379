"""Kills a worker with SIGKILL at an exact step: the application's own code in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.stack import Sandbox

ROOT = Path(__file__).resolve().parents[2]

ACCEPT = """
import json, os, signal, sys
from chalicelib.settings import Settings
from chalicelib.wiring import Gateway

gateway = Gateway(Settings.from_env())
call = json.loads(sys.argv[1])


def dies(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


target, method, after = call["die_at"]
service = getattr(gateway, target)
original = getattr(service, method)
setattr(service, method, (lambda *a, **k: (original(*a, **k), dies())) if after else dies)
caller = gateway.callers_table.get(call["caller"])
gateway.send.accept(caller, json.dumps(call["message"]).encode(), idempotency_key=call["key"])
"""

RELAY = """
import sys, time
from chalicelib.settings import Settings
from chalicelib.wiring import Gateway

gateway = Gateway(Settings.from_env())
gateway.relay.run(sys.argv[1], until=int(time.time() * 1000) + 900_000)
"""

RELAY_AND_DIE = """
import importlib, os, signal, sys

module, name, method, when = sys.argv[2:]
owner = getattr(importlib.import_module(module), name)
original = getattr(owner, method)


def dies(self, *arguments, **named):
    if when == "after":
        original(self, *arguments, **named)
    if when == "halfway":
        original(self, arguments[0][: len(arguments[0]) // 2])
    os.kill(os.getpid(), signal.SIGKILL)


setattr(owner, method, dies)
"""
"""Put before RELAY: a worker that dies before, after or halfway through a method (of one long argument)."""


def start(sandbox: Sandbox, script: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Starts a script with the application's code and the sandbox's environment."""
    environment = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), **sandbox.environment}
    return subprocess.Popen([sys.executable, "-c", script, *arguments], env=environment)


def dies(process: subprocess.Popen[bytes], *, seconds: float = 30) -> None:
    """Waits for the process to have died of SIGKILL, and fails when it ended otherwise."""
    assert process.wait(timeout=seconds) == -signal.SIGKILL


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kills the process with SIGKILL, as a Lambda environment that is taken away."""
    process.send_signal(signal.SIGKILL)
    process.wait()
