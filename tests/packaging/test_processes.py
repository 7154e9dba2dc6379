"""Children of the sandbox: nothing is left of them, however their parent ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from sandbox.processes import Child, ChildError
from tests.helpers import until

# A child that starts a grandchild, as the AWS emulator starts Lambda workers.
FAMILY = textwrap.dedent("""
    import os, subprocess, sys, time
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    print("ready", os.getpid(), grandchild.pid, flush=True)
    time.sleep(60)
""")

PARENT = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from sandbox.processes import Child
    child = Child("family", [sys.executable, "-c", sys.argv[1]], {}, Path(sys.argv[2]))
    child.start()
    print(child.wait_for_line("ready ", 20), flush=True)
    time.sleep(60)
""")


def family(log: Path, code: str = FAMILY) -> Child:
    return Child("family", [sys.executable, "-c", code], {}, log)


def pids(ready_line: str) -> list[int]:
    return [int(word) for word in ready_line.split()[1:]]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until_gone(members: list[int]) -> None:
    until(lambda: not any(alive(pid) for pid in members))


def test_stopping_ends_the_child_and_what_it_started(tmp_path: Path) -> None:
    child = family(tmp_path / "log")
    child.start()
    members = pids(child.wait_for_line("ready ", 20))

    child.stop()

    assert not child.running()
    wait_until_gone(members)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_parent_leaves_nothing(how: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, FAMILY, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        members = pids(parent.stdout.readline())

        parent.send_signal(how)

    wait_until_gone(members)


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)" + FAMILY
    child = family(tmp_path / "log", stubborn)
    child.grace_seconds = 0.3
    child.start()
    members = pids(child.wait_for_line("ready ", 20))

    child.stop()

    wait_until_gone(members)


def test_a_child_that_ends_early_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    child = family(tmp_path / "log", "raise SystemExit('no such luck')")
    child.start()

    with pytest.raises(ChildError, match="no such luck"):
        child.wait_for_line("ready ", 20)

    child.stop()


def test_a_child_gets_nothing_of_the_parents_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the person who runs this")
    child = family(tmp_path / "log", "import os; print('ready', 'AWS_SECRET_ACCESS_KEY' in os.environ)")
    child.start()

    line = child.wait_for_line("ready ", 20)

    child.stop()
    assert line == "ready False"
    assert os.environ["AWS_SECRET_ACCESS_KEY"]
