"""Builds everything from the settings, each part when it is first used; the only module that knows all.

A function pays at its cold start only for the parts that it touches.
"""

from __future__ import annotations

import gc
from contextlib import suppress
from functools import cache, cached_property
from operator import attrgetter
from threading import Thread
from typing import TYPE_CHECKING

from chalicelib import logs
from chalicelib.errors import ConfigurationError
from chalicelib.settings import Settings
from chalicelib.wiring.mail import MailServices

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chalicelib.operations import (
        ConnectOperations,
        RefreshSchedule,
        RelaySchedule,
        SendOperations,
        TokenOperations,
    )


@cache
def gateway() -> Gateway:
    """The one Gateway of this execution environment."""
    settings = Settings.from_env()
    logs.identify(settings.stage, personal=settings.log_addresses)
    return Gateway(settings)


ALWAYS_NEEDED: Mapping[str, tuple[str, ...]] = {
    "app": ("callers", "send", "outbox"),
    "connect": ("connect_operations",),
    "tokens": ("token_operations",),
    "refresh_tokens": ("refresh_schedule",),
    "refresh": ("refresh_schedule",),
    "send": ("send_operations", "clients.sqs"),
    "relay": ("relay_schedule", "access_tokens_vault"),
    "relay_due": ("relay_schedule",),
}
"""Parts that every invocation of a function needs."""


BESIDE: Mapping[str, tuple[str, ...]] = {"relay": ("tls",)}
"""Further such parts, built by another thread: OpenSSL reads authorities while Python does something else."""


def prepare(function: str | None) -> None:
    """Builds what the function always needs while it starts; nothing where no function is started.

    Until its first invocation an execution environment has more of a processor than its memory pays for.
    What is made here stays, so no garbage is looked for meanwhile, nor later among it. Settings that cannot
    be used are told by the first invocation, in its own way.
    """
    parts = ALWAYS_NEEDED.get(function or "", ())
    if not parts:
        return
    gc.disable()
    with suppress(ConfigurationError):
        whole = gateway()
        beside = Thread(target=_build, args=(whole, BESIDE.get(str(function), ())))
        beside.start()
        _build(whole, parts)
        beside.join()
    gc.freeze()
    gc.enable()


def _build(whole: Gateway, parts: Iterable[str]) -> None:
    with suppress(ConfigurationError):
        for part in parts:
            attrgetter(part)(whole)


class Gateway(MailServices):
    """Everything that a deployment consists of: the functions' bodies, on top of the services."""

    @cached_property
    def connect_operations(self) -> ConnectOperations:
        """What the function `connect` does."""
        from chalicelib.operations import ConnectOperations

        return ConnectOperations(
            self.connect,
            self.direct,
            self.credentials,
            self.disconnecting,
            self.verifying,
            self.doctor,
            self.providers.discover,
            self.rewrapping.rewrap,
        )

    @cached_property
    def token_operations(self) -> TokenOperations:
        """What the function `tokens` does."""
        from chalicelib.operations import TokenOperations

        return TokenOperations(self.tokens)

    @cached_property
    def refresh_schedule(self) -> RefreshSchedule:
        """What the functions `refresh_tokens` and `refresh` do."""
        from chalicelib.operations import RefreshSchedule

        enqueue = self._queue(self.settings.refresh_queue_url).put
        return RefreshSchedule(self.tokens, self.rescuing, enqueue, self.health.after_refresh_tokens)

    @cached_property
    def send_operations(self) -> SendOperations:
        """What the function `send` does."""
        from chalicelib.operations import SendOperations

        return SendOperations(self.send, self.callers.by_function)

    @cached_property
    def relay_schedule(self) -> RelaySchedule:
        """What the functions `relay` and `relay_due` do."""
        from chalicelib.mail.relaying.wakeup import parse
        from chalicelib.operations import RelaySchedule

        return RelaySchedule(self.relay, self.lane.ring_for, parse, self.health.after_relay_due)
