"""Submission by servers that others have written: Dovecot's service for it, and Postfix, on loopback.

Debian's dovecot-submissiond and postfix, each a process of its own with its own configuration. Both take the
access tokens of the sandbox's provider by XOAUTH2 and OAUTHBEARER, and app passwords by PLAIN and LOGIN.
Dovecot hands what it takes to Postfix, which asks Dovecot about logins, and puts all mail into one Maildir.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Self

from sandbox.dovecot import Dovecot, listens
from sandbox.processes import Child, free_port

if TYPE_CHECKING:
    from sandbox.certs import ServerCertificate

_START_SECONDS: Final = 20.0
_PATH: Final = f"{os.defpath}:/usr/sbin"
_RUN: Final = 'postfix -c "$0" check && exec "$(postconf -c "$0" -h daemon_directory)"/master -c "$0" -d'
_SUBMISSION: Final = """
hostname = localhost
submission_relay_host = 127.0.0.1
submission_relay_port = {relay}
service submission-login {{
  {chroot}
  inet_listener submission {{
    port = {submission}
  }}
}}
service auth {{
  inet_listener {{
    port = {logins}
  }}
}}
"""
_MAIN: Final = """
compatibility_level = 3.6
queue_directory = {directory}/queue
data_directory = {directory}/data
maillog_file = {directory}/postfix.log
maillog_file_prefixes = {directory}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
myhostname = mail.example.com
mydestination =
alias_maps =
local_header_rewrite_clients =
smtpd_peername_lookup = no
disable_dns_lookups = yes
default_transport = virtual
virtual_mailbox_base = {directory}/mail
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{logins}
"""
_MASTER: Final = """
127.0.0.1:{submission} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
127.0.0.1:{relay} inet n - n - - smtpd
  -o smtpd_relay_restrictions=permit_mynetworks,reject
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


class DovecotSubmission(Dovecot):
    """Dovecot's submission service, which hands mail to 127.0.0.1 at `relay`, and answers about logins."""

    packages: ClassVar[str] = "dovecot-submissiond"
    protocols: ClassVar[str] = "submission"
    listeners: ClassVar[tuple[str, ...]] = ("submission", "logins")
    services: ClassVar[str] = _SUBMISSION
    usable: ClassVar[str] = "active"

    def __init__(
        self, certificate: ServerCertificate, provider_url: str, cafile: Path, *, relay: int
    ) -> None:
        """Nothing is started yet."""
        super().__init__(certificate, provider_url, cafile)
        self.settings["relay"] = relay

    @classmethod
    def missing(cls) -> str:
        """What to install, or nothing."""
        places = (Path("/usr/lib/dovecot"), Path("/usr/libexec/dovecot"))
        there = any((place / "submission").exists() for place in places)
        return "" if there else f"Dovecot has no submission service (apt-get install {cls.packages})"


class Postfix:
    """One Postfix; its port `relay` takes mail without a login, `submission` asks for one."""

    def __init__(self, certificate: ServerCertificate) -> None:
        """Nothing is started yet."""
        self._certificate = certificate
        self.relay, self.submission = free_port(), free_port()
        self._directory: Path | None = None
        self._child: Child | None = None

    @staticmethod
    def missing() -> str:
        """What to install or to change, or nothing."""
        if shutil.which("postfix", path=_PATH) is None:
            return "Postfix is not installed (apt-get install postfix)"
        return "" if os.geteuid() == 0 else "Postfix runs as root only"

    def start(self, *, logins: int) -> None:
        """Start it and wait until it listens; `logins` is Dovecot's port. Raises ChildError."""
        self._directory = directory = Path(tempfile.mkdtemp(prefix="mg-postfix-"))
        directory.chmod(0o755)
        self._configure(directory, logins)
        # Not start-fg, whose master leaves the process group in which a child is ended.
        command = ["/bin/sh", "-c", _RUN, str(directory / "etc")]
        self._child = Child("postfix", command, {"PATH": _PATH}, directory / "output.log")
        self._child.start()
        self._wait(self._child)

    def stop(self) -> None:
        """Stop it, and forget all mail. May be repeated."""
        if self._child is not None:
            self._child.stop()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    def messages(self) -> list[bytes]:
        """What it has delivered, with the fields that it adds on top; lines end with LF."""
        box = self._directory / "mail" / "all" / "new" if self._directory else None
        return [file.read_bytes() for file in box.iterdir()] if box and box.exists() else []

    def log(self) -> str:
        """What it has logged; no credentials are in it."""
        file = self._directory / "postfix.log" if self._directory else None
        return file.read_text(errors="replace") if file and file.exists() else ""

    def _configure(self, directory: Path, logins: int) -> None:
        for name in ("etc", "queue", "data", "mail"):
            (directory / name).mkdir()
        owner, nobody = pwd.getpwnam("postfix"), pwd.getpwnam("nobody")
        os.chown(directory / "data", owner.pw_uid, owner.pw_gid)
        os.chown(directory / "mail", nobody.pw_uid, nobody.pw_gid)
        values = {
            "directory": directory,
            "certificate": self._certificate.certfile,
            "key": self._certificate.keyfile,
            "uid": nobody.pw_uid,
            "gid": nobody.pw_gid,
            "logins": logins,
            "relay": self.relay,
            "submission": self.submission,
        }
        (directory / "etc" / "main.cf").write_text(_MAIN.format(**values))
        (directory / "etc" / "master.cf").write_text(_MASTER.format(**values))

    def _wait(self, child: Child) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and child.running():
            if listens(self.relay) and listens(self.submission):
                return
            time.sleep(0.05)
        failure = child.failure(f"did not start: {self.log()[-500:]}")
        self.stop()
        raise failure


class SubmissionServers:
    """Both servers; a context manager that starts and stops them."""

    def __init__(self, certificate: ServerCertificate, provider_url: str, cafile: Path) -> None:
        """Nothing is started yet."""
        self.postfix = Postfix(certificate)
        self.dovecot = DovecotSubmission(certificate, provider_url, cafile, relay=self.postfix.relay)

    @staticmethod
    def missing() -> str:
        """What to install or to change, or nothing."""
        return DovecotSubmission.missing() or Postfix.missing()

    def __enter__(self) -> Self:
        """Start them."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.postfix.stop)
            stack.enter_context(self.dovecot)
            self.postfix.start(logins=self.dovecot.ports["logins"])
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop them."""
        self._stack.close()
