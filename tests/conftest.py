"""Fixtures: one sandbox for the whole run, and what every test does with it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.helpers import USUAL_LIFE

if TYPE_CHECKING:
    from chalicelib.wiring import Gateway
    from sandbox.cast import Cast
    from sandbox.dovecot import Dovecot
    from sandbox.stack import Sandbox
    from tests.canary.watch import Watch

LAGGING = bool(os.environ.get("MAILGRANT_LAGGING"))
"""Whether the application meets AWS at its slowest (see sandbox.aws.lagging)."""

MEASURED = "measured"
"""The property of a test whose text the end of the run shows."""


def pytest_configure() -> None:
    """Lets what the tests start hear Ctrl-C: a shell's background ignores it, and hands that on."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what tests have measured, also when they ran in other processes."""
    reports = terminalreporter.getreports("passed")
    for line in (text for report in reports for name, text in report.user_properties if name == MEASURED):
        terminalreporter.write_line(str(line), bold=True)


@pytest.fixture(scope="session", autouse=True)
def canaries() -> Iterator[Watch]:
    """The secrets of this process; the run fails if one is found where it may not be (see tests/canary)."""
    from tests.canary.watch import Watch

    watch = Watch()
    with watch.process():
        yield watch


@pytest.fixture(scope="session")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory, canaries: Watch) -> Iterator[Sandbox]:
    """The sandbox with the application deployed into it, and its environment for code that runs here.

    Its schedules rest: a test that kills one worker wants no other to come by.
    """
    from sandbox.stack import Sandbox

    with (
        Sandbox(
            tmp_path_factory.mktemp("sandbox"), say=lambda _: None, schedules=False, lagging=LAGGING
        ) as sandbox,
        canaries.sandbox(sandbox),
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in sandbox.environment.items():
            patch.setenv(name, value)
        yield sandbox


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Iterator[Sandbox]:
    """The sandbox without faults; whatever a test injects is gone after it."""
    yield shared_sandbox
    shared_sandbox.mail.clear_faults()
    shared_sandbox.provider.clear_faults()
    shared_sandbox.provider.set_lifetime(access=USUAL_LIFE)


@pytest.fixture(scope="session")
def dovecot(shared_sandbox: Sandbox) -> Iterator[Dovecot]:
    """A server of IMAP and POP3 that takes the tokens and app passwords of the sandbox's provider."""
    from sandbox.dovecot import Dovecot

    if missing := Dovecot.missing():
        pytest.skip(missing)
    certificate = shared_sandbox.authority.issue("dovecot")
    with Dovecot(certificate, shared_sandbox.provider_url, shared_sandbox.authority.cafile) as server:
        yield server


@pytest.fixture
def cast(sandbox: Sandbox) -> Cast:
    """Makes connectors, mailboxes, accounts and people. What its API answers is judged."""
    from sandbox.cast import Cast
    from tests.contract import JudgedApi

    made = Cast(sandbox)
    made.api = JudgedApi(sandbox.url, sandbox.key, sandbox.authority.cafile)
    return made


@pytest.fixture
def gateway(sandbox: Sandbox) -> Gateway:
    """The application's own code in this process, against the sandbox."""
    from chalicelib.settings import Settings
    from chalicelib.wiring import Gateway

    return Gateway(Settings.from_env(sandbox.environment))


@pytest.fixture
def later(sandbox: Sandbox) -> Callable[[int], Gateway]:
    """The application's own code with its clock put forward by some milliseconds."""
    from chalicelib.clock import now
    from chalicelib.settings import Settings
    from chalicelib.wiring import Gateway

    def at(ahead: int) -> Gateway:
        return Gateway(Settings.from_env(sandbox.environment), clock=lambda: now() + ahead)

    return at


@pytest.fixture(scope="session")
def alias(shared_sandbox: Sandbox) -> str:
    """The alias of `send` as a caller that may send as every account."""
    from sandbox.cast import Cast
    from sandbox.stack import ALIAS

    caller = {"kind": "lambda", "alias": ALIAS, "name": "tests", "scopes": ["send"], "accounts": ["*"]}
    Cast(shared_sandbox).api.post("/v1/callers", caller)
    return ALIAS
