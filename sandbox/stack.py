"""The whole sandbox: provider, mail server, AWS and HTTPS front, with the application deployed into it.

Everything listens on 127.0.0.1. Ports are free ones unless MAILGRANT_SANDBOX_PORT and its relatives say
otherwise; every child ends with this process, however it ends. One sandbox runs in one directory.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, Final, Self

from cli.config import CONFIGURATION, SANDBOX_DIRECTORY
from sandbox.aws.emulator import REGION, Emulator
from sandbox.aws.front import Front
from sandbox.aws.identity import Identity
from sandbox.aws.lagging import Lagging
from sandbox.certs import Authority
from sandbox.errors import SandboxError
from sandbox.mailserver.client import MailServerClient
from sandbox.processes import Child, is_free
from sandbox.provider.control_client import ControlClient

if TYPE_CHECKING:
    from cli.package import Package

PROJECT: Final = Path(__file__).resolve().parents[1]
STAGE: Final = "sandbox"
ALIAS: Final = "demo"
"""The alias of the function `send` that the demo and the tests invoke."""
READY_SECONDS: Final = 30.0
DOUBT_SECONDS: Final = 2
"""How long a refused grant is doubted before the provider is asked again; minutes in a real deployment."""
HIGHEST_PORT: Final = 65_535

Say = Callable[[str], None]


@dataclass(frozen=True)
class Ports:
    """The ports that people look at: 0 takes a free one."""

    VARIABLES: ClassVar[Mapping[str, str]] = {
        "front": "MAILGRANT_SANDBOX_PORT",
        "provider": "MAILGRANT_SANDBOX_PROVIDER_PORT",
        "mail": "MAILGRANT_SANDBOX_MAIL_PORT",
    }

    front: int = 0
    provider: int = 0
    mail: int = 0

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Ports:
        """Reads the VARIABLES. Raises SandboxError for one that is no port."""
        return cls(**{name: _port(variable, env.get(variable)) for name, variable in cls.VARIABLES.items()})

    def check(self) -> None:
        """Raises SandboxError for a port that is taken, or wanted twice."""
        wanted: dict[int, str] = {}
        for name, variable in self.VARIABLES.items():
            port: int = getattr(self, name)
            if port and port in wanted:
                raise SandboxError(f"{wanted[port]} and {variable} are both {port}: choose two ports")
            if port and not is_free(port):
                raise SandboxError(
                    f"port {port} is taken: end what listens there, or choose another {variable} "
                    "(0 takes a free one)"
                )
            wanted[port] = variable


class Sandbox:
    """Starts everything, deploys the application, and stops everything.

    `directory` takes certificates, logs and the configuration of the command line; it is locked until stop().
    Use it as a context manager, or call start() and stop(); stop() may be repeated. Raises SandboxError if
    another sandbox has the directory, or if something else has one of the ports. Without `schedules` the
    functions that a schedule wakes run only when they are invoked. With `lagging` the application meets
    old indexes, and queues that are late and deliver twice.
    """

    def __init__(
        self,
        directory: Path,
        *,
        ports: Ports | None = None,
        say: Say = print,
        schedules: bool = True,
        lagging: bool = False,
    ) -> None:
        self.directory = directory
        self._ports = ports or Ports()
        self._say = say
        self._schedules = schedules
        self._ports.check()
        self._lock = _lock(directory)
        self.authority = Authority.create(directory / "tls")
        self.emulator = Emulator(directory / "aws", PROJECT / ".venv-aws" / "bin" / "python")
        self.lagging = Lagging(self.emulator.session(), self.emulator.port) if lagging else None
        if self.lagging:
            self.emulator.functions_endpoint = self.lagging.url
        self.identity = Identity(self.emulator.port)
        self.emulator.sts_endpoint = self.identity.url
        self.front = Front(self.authority.issue("front"), self.emulator.port, self._ports.front)
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        """Starts it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops it."""
        self.stop()

    def start(self) -> None:
        """Starts the servers and deploys the application; stops again if it cannot.

        Raises ChildError, Trouble or PackageError.
        """
        try:
            self.start_servers()
            self.deploy()
            self._write_cli_configuration()
        except BaseException:
            self.stop()
            raise

    def start_servers(self) -> None:
        """Starts provider, mail server, AWS and front; nothing is deployed yet."""
        self._say("starting the OpenID provider, which plays Microsoft and Google with their mail APIs")
        self._start_provider()
        self._say("starting the mail server")
        self._start_mail_server()
        self._say("starting AWS")
        self.emulator.start()
        if self.lagging:
            self.lagging.start()
        self.identity.start()
        self.front.start()

    def deploy(self, package: Package | None = None) -> None:
        """Packages the application unless a package is given, and deploys or updates both stacks."""
        from cli.packages import packaged
        from sandbox.aws.deploy import deploy

        if package is None:
            self._say("packaging the application")
            package = packaged()
        self.outputs = deploy(self.emulator.session(), package, STAGE, self.parameters, self._say)
        self._deployed(package)

    def adopt(self, package: Package) -> None:
        """Does what the emulator leaves undone, after somebody else has deployed a package into it."""
        from cli.stacks import app_stack_name
        from sandbox.aws.deploy import repair

        self.outputs = self._outputs(app_stack_name(STAGE))
        repair(self.emulator.session(), package, STAGE, self.outputs)
        self._deployed(package)

    def _deployed(self, package: Package) -> None:
        from sandbox.aws.deploy import stop_schedules

        self.package = package
        if not self._schedules:
            stop_schedules(self.emulator.session())
        if self.lagging:
            self.lagging.begin()

    def delete_application(self) -> None:
        """Deletes the application stack; the data stack stays."""
        from cli.stacks import Telling, delete_app_stack

        delete_app_stack(self.emulator.session(), STAGE, Telling(self._say))

    def stop(self) -> None:
        """Stops everything that was started, and frees the directory for another sandbox."""
        self.front.stop()
        self.identity.stop()
        if self.lagging:
            self.lagging.stop()
        self.emulator.stop()
        while self._children:
            self._children.pop().stop()
        if not self._lock.closed:
            self.configuration.unlink(missing_ok=True)
            self._lock.close()

    @property
    def configuration(self) -> Path:
        """Where `./mailgrant` finds this sandbox and its key, while it runs."""
        return self.directory / CONFIGURATION

    @property
    def url(self) -> str:
        """The public URL of the application."""
        return self.front.url

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of the application stack."""
        return {
            "PublicUrl": self.url,
            "Architecture": "x86_64",  # that of this machine, which runs the functions
            "SendAlias": ALIAS,
            "ProviderEndpoints": json.dumps(self._provider_endpoints()),
            "ExtraCa": self.authority.pem,
            "AllowedPrivateNetworks": "127.0.0.0/8",
        }

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which the application's own code runs here, as root of the account."""
        from cli.stacks import data_stack_name

        data = self._outputs(data_stack_name(STAGE))
        return {
            "STAGE": STAGE,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL": self.emulator.functions_endpoint or self.emulator.endpoint,
            "AWS_ENDPOINT_URL_STS": self.identity.url,
            "BUCKET": data["BucketName"],
            "RELAY_QUEUE_URL": data["RelayQueueUrl"],
            "REFRESH_QUEUE_URL": data["RefreshQueueUrl"],
            "RESCUE_QUEUE_URL": data["RescueQueueUrl"],
            "GRANTS_KEY_ARN": data["GrantsKeyArn"],
            "ACCESS_TOKENS_KEY_ARN": data["AccessTokensKeyArn"],
            "PUBLIC_URL_PARAMETER": f"/mailgrant/{STAGE}/public-url",
            "PROVIDER_ENDPOINTS": self.parameters["ProviderEndpoints"],
            "EXTRA_CA": self.authority.pem,
            "ALLOWED_PRIVATE_NETWORKS": "127.0.0.0/8",
        }

    def _outputs(self, name: str) -> dict[str, str]:
        client = self.emulator.session().client("cloudformation")
        stack = client.describe_stacks(StackName=name)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def _start_provider(self) -> None:
        certificate = self.authority.issue("provider")
        files = ["--cert", str(certificate.certfile), "--key", str(certificate.keyfile)]
        line = self._start_child("provider", ["--port", str(self._ports.provider), *files])
        self.provider_url = line.removeprefix("ready ")
        self.provider = ControlClient(self.provider_url, self.authority.cafile)

    def _start_mail_server(self) -> None:
        certificate = self.authority.issue("mail")
        files = ["--cert", str(certificate.certfile), "--key", str(certificate.keyfile)]
        provider = ["--provider-url", self.provider_url, "--provider-ca", str(self.authority.cafile)]
        line = self._start_child("mailserver", ["--web-port", str(self._ports.mail), *files, *provider])
        addresses: dict[str, Any] = json.loads(line.removeprefix("ready "))
        self.mail_url: str = addresses["web"]
        self.smtp = {name: tuple(addresses[name]) for name in addresses["implicit"]}
        self.smtp_implicit = {name: tuple(address) for name, address in addresses["implicit"].items()}
        self.mail = MailServerClient(self.mail_url)

    def _start_child(self, name: str, arguments: list[str]) -> str:
        command = [sys.executable, "-m", f"sandbox.{name}", *arguments]
        environment = {"PATH": os.defpath, "PYTHONUNBUFFERED": "1"}
        child = Child(name, command, environment, self.directory / f"{name}.log", PROJECT)
        self._children.append(child)
        child.start()
        return child.wait_for_line("ready ", READY_SECONDS)

    def _provider_endpoints(self) -> dict[str, dict[str, Any]]:
        base = self.provider_url
        hosts = {
            name: {"smtp_host": host, "smtp_port": port, "doubt": DOUBT_SECONDS}
            for name, (host, port) in self.smtp.items()
        }
        return {
            "microsoft": {"login": base, "graph": base, **hosts["microsoft"]},
            "microsoft/gcc_high": {"login": f"{base}/us", "graph": f"{base}/us", **hosts["microsoft"]},
            "microsoft/dod": {"login": f"{base}/us", "graph": f"{base}/dod", **hosts["microsoft"]},
            "microsoft/china": {"login": f"{base}/cn", "graph": f"{base}/cn", **hosts["microsoft"]},
            "google": {
                "issuer": base,
                "authorize": f"{base}/o/oauth2/v2/auth",
                "token": f"{base}/token",
                "revoke": f"{base}/revoke",
                "jwks": f"{base}/oauth2/v3/certs",
                "gmail": base,
                **hosts["google"],
            },
            "other": {"doubt": DOUBT_SECONDS},
        }

    def administrator_key(self) -> str:
        """Makes an API key that may do everything, with the application's own code, and returns its text."""
        from chalicelib.callers.models import ALL_ACCOUNTS, Scope
        from chalicelib.settings import Settings
        from chalicelib.wiring import Gateway

        previous = dict(os.environ)
        os.environ.update(self.environment)
        try:
            gateway = Gateway(Settings.from_env(self.environment))
            _, key = gateway.callers.create_key("sandbox administrator", {Scope.ADMIN}, {ALL_ACCOUNTS})
        finally:
            os.environ.clear()
            os.environ.update(previous)
        return key.reveal()

    def _write_cli_configuration(self) -> None:
        self.key = self.administrator_key()
        told = {"url": self.url, "key": self.key, "ca": str(self.authority.cafile)}
        pages = {"provider": self.provider_url, "mailboxes": self.mail_url}
        host, port = self.smtp["other"]
        issuer = f"{self.provider_url}/openid"
        answers = {"discovery": issuer, "scopes": "mail:smtp", "smtp": f"{host}:{port}"}
        played = {"other": answers, "federated": self.identity.trusted}
        self.configuration.unlink(missing_ok=True)
        with os.fdopen(os.open(self.configuration, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(told | pages | played, file)


def _port(variable: str, text: str | None) -> int:
    """The port that a variable names; 0 if it is unset or empty."""
    if not text:
        return 0
    if not text.isdecimal() or int(text) > HIGHEST_PORT:
        raise SandboxError(f"{variable} is {text!r}, which is no port: choose one from 1 to {HIGHEST_PORT}")
    return int(text)


def _lock(directory: Path) -> IO[str]:
    """Locks the directory until the file that is returned is closed, or this process ends."""
    directory.mkdir(parents=True, exist_ok=True)
    file = (directory / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        process = file.read().strip()
        file.close()
        raise SandboxError(
            f"another sandbox (process {process}) runs in {directory}: end it, or choose another directory "
            f"by {SANDBOX_DIRECTORY}"
        ) from error
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file
