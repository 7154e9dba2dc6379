"""Notes the secrets of a run and looks for them at its end. What is found fails the run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.canary import places, sources
from tests.canary.allowed import Allowed
from tests.canary.canaries import Canaries, Leak

if TYPE_CHECKING:
    from sandbox.aws.emulator import Emulator
    from sandbox.aws.front import Exchange
    from sandbox.provider.control_client import ControlClient
    from sandbox.stack import Sandbox

MOST_SHOWN = 20


class LeakedError(AssertionError):
    """Secrets are where they may not be; the text names kinds and places, never a secret."""

    def __init__(self, leaks: list[Leak]) -> None:
        once = {(leak.kind, leak.place): leak for leak in leaks}
        shown = "\n".join(f"  {leak}" for leak in list(once.values())[:MOST_SHOWN])
        super().__init__(f"{len(leaks)} secrets are where allowed.toml does not allow them:\n{shown}")


@dataclass
class Watch:
    """The canaries of this process, and what the process has said."""

    canaries: Canaries = field(default_factory=Canaries)
    allowed: Allowed = field(default_factory=Allowed)
    said: list[places.Place] = field(default_factory=list)

    @contextmanager
    def process(self) -> Iterator[None]:
        """Watches this process; at the end of the block its logs and errors are searched."""
        with sources.made_here(self.canaries), sources.said_here(self.said):
            yield
        self.search(self.said)

    @contextmanager
    def sandbox(self, sandbox: Sandbox) -> Iterator[None]:
        """Watches a sandbox; at the end of the block everything of it is searched."""
        seen: list[Exchange] = []
        sandbox.front.watch(seen.append)
        sandbox.front.watch(sources.passing_the_front(self.canaries))
        self.canaries.add("API key", sandbox.key.split("_", 2)[2])
        yield
        self.learn(sandbox.provider)
        logs = [sandbox.emulator.log_path, *sandbox.directory.glob("*.log")]
        exchanged = (place for one in seen for place in places.exchange(one))
        self.search((*places.aws(sandbox.emulator.session()), *places.files(logs), *exchanged))

    @contextmanager
    def emulator(self, emulator: Emulator) -> Iterator[None]:
        """Watches a local AWS that only this process uses; at the end of the block it is searched."""
        yield
        self.search((*places.aws(emulator.session()), *places.files([emulator.log_path])))

    def learn(self, provider: ControlClient) -> None:
        """Notes the secrets that a provider has seen."""
        for kind, secrets in provider.secrets().items():
            for secret in secrets:
                self.canaries.add(kind, secret)

    def search(self, found: Iterable[places.Place]) -> None:
        """Raises LeakedError for what is not allowed."""
        leaks = (leak for place, text in found for leak in self.canaries.find(place, text))
        if leaked := self.allowed.leaks(leaks):
            raise LeakedError(leaked)
