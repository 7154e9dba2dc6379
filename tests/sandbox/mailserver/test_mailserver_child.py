"""The mail server as a child process, and how it stops."""

from __future__ import annotations

import json
import signal
import smtplib
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sandbox.mailserver.client import MailServerClient
from sandbox.mailserver.server import Certificate, MailServer

if TYPE_CHECKING:
    from tests.sandbox.mailserver.support import World


def test_the_child_prints_its_addresses_and_stops_at_sigterm(world: World, certificate: Certificate) -> None:
    files = ["--cert", certificate.certfile, "--key", certificate.keyfile, "--provider-ca", world.cafile]
    command = [sys.executable, "-m", "sandbox.mailserver", *files, "--provider-url", world.provider.url]

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        line = child.stdout.readline() if child.stdout else ""
        addresses = json.loads(line.removeprefix("ready "))
        host, port = addresses["google"]
        with smtplib.SMTP(host, port, timeout=10) as smtp:
            greeted, _ = smtp.ehlo()
        sessions = MailServerClient(addresses["web"]).sessions()
        child.send_signal(signal.SIGTERM)
        status = child.wait(10)

    assert line.startswith("ready {")
    assert greeted == 250
    assert [each["listener"] for each in sessions] == ["google"]
    assert status == 0


def test_stopping_ends_paused_silent_and_idle_sessions(world: World, certificate: Certificate) -> None:
    server = MailServer(certificate.certfile, certificate.keyfile, world.provider.url, world.cafile)
    server.start()
    client = MailServerClient(server.url)
    fault_ids = [client.inject("CONNECT", action) for action in ("pause", "silence")]
    clients = [socket.create_connection(server.microsoft, timeout=10) for _ in range(3)]
    for fault_id in fault_ids:
        client.wait_for_fault(fault_id)

    server.stop()

    for each in clients:
        while each.recv(1000):
            pass
        each.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(server.microsoft, timeout=1)
