"""IMAP and POP3 by Dovecot, a process of its own on loopback: Debian's dovecot-imapd and dovecot-pop3d.

XOAUTH2 and OAUTHBEARER take access tokens with a scope for reading mail, PLAIN and LOGIN take app passwords;
both are checked at the sandbox's provider. A mailbox comes into being when somebody opens it.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import socket
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Self
from urllib.parse import urlsplit

from sandbox.processes import Child, free_port

if TYPE_CHECKING:
    from sandbox.certs import ServerCertificate

PROTOCOLS: Final = ("imap", "imaps", "pop3", "pop3s")
"""Names of the ports: those with an s begin with TLS, the others take STARTTLS or STLS."""
_START_SECONDS: Final = 10.0
_CONFIGURATION: Final = """
protocols = {protocols}
listen = 127.0.0.1
base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/dovecot.log
ssl = required
ssl_cert = <{certificate}
ssl_key = <{key}
ssl_min_protocol = TLSv1.2
auth_mechanisms = xoauth2 oauthbearer plain login
auth_cache_size = 0
auth_failure_delay = 0
default_internal_user = {internal_user}
default_login_user = {login_user}
default_internal_group = {group}
mail_location = maildir:~/
first_valid_uid = 1
first_valid_gid = 1
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {directory}/tokens.conf
}}
passdb {{
  driver = oauth2
  mechanisms = plain login
  args = {directory}/passwords.conf
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={directory}/mail/%Lu
}}
# Otherwise the answer to a login that fails again is held for 15 seconds and more.
service anvil {{
  {chroot}
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""
_READING: Final = """
service imap-login {{
  {chroot}
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  {chroot}
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
"""
_CHECKED: Final = """
introspection_mode = post
introspection_url = https://{provider}/_control/{call}
tls_ca_cert_file = {cafile}
username_attribute = username
active_attribute = {active}
active_value = true
"""


class Dovecot:
    """One Dovecot; a context manager that starts and stops it. Takes free ports.

    The certificate is for 127.0.0.1; the provider's is checked against `cafile`.
    """

    packages: ClassVar[str] = "dovecot-imapd dovecot-pop3d"
    protocols: ClassVar[str] = "imap pop3"
    listeners: ClassVar[tuple[str, ...]] = PROTOCOLS
    services: ClassVar[str] = _READING
    usable: ClassVar[str] = "reads_mail"
    """What the provider must say of a token that is taken."""

    def __init__(self, certificate: ServerCertificate, provider_url: str, cafile: Path) -> None:
        """Nothing is started yet."""
        self._certificate = certificate
        self._provider = urlsplit(provider_url).netloc
        self._cafile = cafile
        self.ports = {name: free_port() for name in self.listeners}
        self.settings: dict[str, object] = {}
        self._directory: Path | None = None
        self._child: Child | None = None

    @classmethod
    def missing(cls) -> str:
        """What to install, or nothing."""
        there = shutil.which("dovecot", path=f"{os.defpath}:/usr/sbin")
        return "" if there else f"Dovecot is not installed (apt-get install {cls.packages})"

    def start(self) -> Self:
        """Start it and wait until it listens. Raises ChildError if it does not."""
        # Not below a directory of the caller's: paths of sockets are short, and another user reads them.
        self._directory = directory = Path(tempfile.mkdtemp(prefix="mg-dovecot-"))
        directory.chmod(0o755)
        configuration = self._configure(directory)
        binary = shutil.which("dovecot", path=f"{os.defpath}:/usr/sbin") or "dovecot"
        environment = {"PATH": f"{os.defpath}:/usr/sbin"}
        self._child = Child(
            "dovecot", [binary, "-F", "-c", str(configuration)], environment, directory / "output.log"
        )
        self._child.start()
        self._wait(self._child)
        return self

    def stop(self) -> None:
        """Stop it, and forget all mailboxes. May be repeated."""
        if self._child is not None:
            self._child.stop()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    def log(self) -> str:
        """What it has logged; no credentials are in it."""
        file = self._directory / "dovecot.log" if self._directory else None
        return file.read_text(errors="replace") if file and file.exists() else ""

    def _configure(self, directory: Path) -> Path:
        checks = {"tokens": ("introspect", self.usable), "passwords": ("introspect-password", "active")}
        cafile = directory / "ca.pem"
        shutil.copyfile(self._cafile, cafile)  # the caller's own directory may be closed to others
        cafile.chmod(0o644)
        for name, (call, active) in checks.items():
            checked = _CHECKED.format(provider=self._provider, call=call, cafile=cafile, active=active)
            (directory / f"{name}.conf").write_text(checked)
        configuration = directory / "dovecot.conf"
        configuration.write_text(
            (_CONFIGURATION + self.services).format(
                protocols=self.protocols,
                directory=directory,
                certificate=self._certificate.certfile,
                key=self._certificate.keyfile,
                **_users(directory / "mail"),
                **self.ports,
                **self.settings,
            )
        )
        return configuration

    def _wait(self, child: Child) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and child.running():
            if all(listens(port) for port in self.ports.values()):
                return
            time.sleep(0.02)
        failure = child.failure(f"did not start: {self.log()[-500:]}")
        self.stop()
        raise failure


def _users(mail: Path) -> dict[str, object]:
    """As whom its parts run: as Debian has it, or all as whoever is not root."""
    mail.mkdir()
    if os.geteuid() != 0:
        me = pwd.getpwuid(os.getuid()).pw_name
        group = grp.getgrgid(os.getgid()).gr_name
        users: dict[str, object] = {"internal_user": me, "login_user": me, "group": group}
        return users | {"uid": os.getuid(), "gid": os.getgid(), "chroot": "chroot ="}
    nobody = pwd.getpwnam("nobody")
    os.chown(mail, nobody.pw_uid, nobody.pw_gid)
    users = {"internal_user": "dovecot", "login_user": "dovenull", "group": "dovecot"}
    return users | {"uid": nobody.pw_uid, "gid": nobody.pw_gid, "chroot": ""}


def listens(port: int) -> bool:
    """Whether a server listens at that port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
