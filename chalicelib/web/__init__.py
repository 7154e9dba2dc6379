"""HTTP: the API, the pages of connecting a mailbox, and what needs no key."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalice.app import Chalice

    from chalicelib.wiring import Gateway


def register(app: Chalice, gateway: Callable[[], Gateway], *, routes: bool = True) -> None:
    """Registers the middleware and the routes. `gateway` is called by requests, never here.

    Without `routes` their modules are not imported, which saves the other functions time when they start.
    """
    from chalicelib.web.tracing import traced

    app.register_middleware(traced, "all")
    if routes:
        from chalicelib.web.routes import register_routes

        register_routes(app, gateway)
