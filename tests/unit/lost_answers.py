"""Requests to AWS whose answers are lost, and requests that never arrive: the client repeats both."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ReadTimeoutError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def losing(client: Any, operation: str, times: int, *, arrives: bool = True) -> Iterator[list[str]]:
    """Loses the answers to the next requests of the operation; yields what has been lost so far.

    With `arrives` false the requests are lost themselves.
    """
    lost: list[str] = []

    def lose(request: Any, **_: Any) -> None:
        if len(lost) >= times:
            return
        lost.append(request.url)
        if arrives:
            client._endpoint.http_session.send(request)
        raise ReadTimeoutError(endpoint_url=request.url)

    event = f"before-send.{client.meta.service_model.service_id.hyphenize()}.{operation}"
    client.meta.events.register(event, lose)
    try:
        yield lost
    finally:
        client.meta.events.unregister(event, lose)
