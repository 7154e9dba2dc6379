"""Cold starts of the packaged functions, under Lambda's own runtime client and its emulator (RIE).

RIE starts a function at its first invocation, takes one invocation at a time, and limits neither memory nor
processor: durations compare with each other, not with AWS's.
"""

from __future__ import annotations

import json
import os
import re
import time
import urllib.error
import urllib.request
import zipfile
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.accept import message
from sandbox.processes import Child, ChildError, free_port
from sandbox.stack import PROJECT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.world import World

PYTHON = PROJECT / ".venv-bench" / "bin" / "python"
RIE = "samcli/local/rapid/aws-lambda-rie-{machine}"
MACHINES = {"x86_64": "x86_64", "aarch64": "arm64"}

BASELINE = """\
import boto3

client = boto3.client("dynamodb")


def handler(event, context):
    return None
"""

_INIT = re.compile(r"INIT REPORT\(durationMs: ([\d.]+)\)")
_FIRST = re.compile(r"INVOKE RTDONE\(.*duration: ([\d.]+)ms\)")
_READY_SECONDS = 10.0
OK, BAD = 200, 400
"""HTTP statuses, of a function that answers with one."""


@dataclass(frozen=True)
class Start:
    """One cold start: its init and its first invocation (ms), and the most memory it has had since (MiB)."""

    init: float
    first: float
    memory: float


@dataclass(frozen=True)
class Function:
    """Medians of the cold starts of one function; `ratio` is init by the baseline's of the same round."""

    start: Start
    ratio: float


def unpacked(package: Path, directory: Path) -> Path:
    """The tree that the functions are started from."""
    application = directory / "application"
    with zipfile.ZipFile(package) as archive:
        archive.extractall(application)
    return application


def measure(
    world: World, application: Path, directory: Path, runs: int = 9
) -> tuple[dict[str, Function], Start]:
    """Starts every function and the baseline `runs` times, in turn; returns them by name, and the baseline.

    The baseline is ``boto3`` with a DynamoDB client. Functions meet the world's servers, and are given
    something to do.
    """
    baseline = directory / "baseline"
    baseline.mkdir()
    (baseline / "baseline.py").write_text(BASELINE)
    account = world.account(world.connector()).id
    starts: dict[str, list[Start]] = {}
    for _ in range(runs):
        starts.setdefault("", []).append(start(world, baseline, "baseline.handler", {}))
        for name, event in events(account).items():
            starts.setdefault(name, []).append(start(world, application, handler(name), event))
    against = starts.pop("")
    return {name: _function(found, against) for name, found in starts.items()}, _median(against)


def handler(function: str) -> str:
    """What Lambda is told to call."""
    return "app.app" if function == "api" else f"app.{function}"


def start(world: World, tree: Path, called: str, event: Mapping[str, Any]) -> Start:
    """Starts what is in the tree, invokes it once, and stops it. Raises ChildError for one that fails."""
    port, api = free_port(), free_port()
    environment = {
        **world.sandbox.environment,
        "PATH": os.defpath,
        "LAMBDA_TASK_ROOT": str(tree),
        "AWS_LAMBDA_FUNCTION_NAME": called,
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "300",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [str(_emulator()), "--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
    command += ["--runtime-api-address", f"127.0.0.1:{api}", str(PYTHON), "-m", "awslambdaric", called]
    child = Child("rie", command, environment, tree.parent / "rie.log", tree, grace_seconds=0.5)
    child.start()
    try:
        _invoke(port, event)
        return Start(*durations(child.log()), _memory(api))
    finally:
        child.stop()


def _emulator() -> Path:
    (libraries,) = (PYTHON.parent.parent / "lib").glob("python3*/site-packages")
    emulator = libraries / RIE.format(machine=MACHINES[os.uname().machine])
    emulator.chmod(0o755)
    return emulator


def durations(log: str) -> tuple[float, float]:
    """How long the init and the first invocation took (ms), as RIE logs them. Raises ChildError."""
    init, first = _INIT.search(log), _FIRST.search(log)
    if init is None or first is None:
        raise ChildError(f"RIE told no durations\n{log}")
    return float(init[1]), float(first[1])


def _invoke(port: int, event: Mapping[str, Any]) -> None:
    """Invokes the function as soon as RIE listens. Raises ChildError for an answer that is an error."""
    url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, json.dumps(event).encode(), timeout=60) as answer:
                told = json.load(answer) or {}
            break
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    if told.keys() & {"errorType", "error"} or told.get("statusCode", OK) >= BAD:
        raise ChildError(f"the function failed: {told}")


def _function(starts: Sequence[Start], against: Sequence[Start]) -> Function:
    ratios = [start.init / base.init for start, base in zip(starts, against, strict=True)]
    return Function(_median(starts), median(ratios))


def _median(starts: Sequence[Start]) -> Start:
    return Start(*(median(each) for each in zip(*(astuple(start) for start in starts), strict=True)))


def events(account: str) -> dict[str, dict[str, Any]]:
    """Something to do for each function, by its name."""
    schedule = {
        "version": "0",
        "account": "000000000000",
        "region": "eu-west-1",
        "detail": {},
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "time": "2026-01-01T00:00:00Z",
        "id": "bench",
        "resources": [],
    }
    request = {
        "resource": "/healthz",
        "path": "/healthz",
        "httpMethod": "GET",
        "headers": {},
        "multiValueHeaders": {},
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {"httpMethod": "GET", "resourcePath": "/healthz", "requestId": "bench"},
        "body": None,
        "isBase64Encoded": False,
    }
    return {
        "api": request,
        "connect": {"op": "verify", "account_id": account},
        "tokens": {"account": account, "failed_version": 1},
        "refresh_tokens": schedule,
        "refresh": queued({"accounts": [account]}),
        "send": message(account, 1_000),
        "relay": queued({"account": account}),
        "relay_due": schedule,
    }


def queued(body: Mapping[str, Any]) -> dict[str, Any]:
    """What a queue hands to its function."""
    return {"Records": [{"messageId": "1", "receiptHandle": "1", "body": json.dumps(body)}]}


def _memory(runtime_api: int) -> float:
    """The most memory that the function's process has had (MiB), found by its variable of the runtime API."""
    wanted = f"AWS_LAMBDA_RUNTIME_API=127.0.0.1:{runtime_api}".encode()
    for process in Path("/proc").iterdir():
        try:
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                status = (process / "status").read_text()
                return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024
        except (OSError, IndexError):
            continue
    raise ChildError("the process of the function was not found")
