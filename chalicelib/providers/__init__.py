"""How Microsoft and Google are spoken to: facts as data, a module per library, one table of their errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib import clock

if TYPE_CHECKING:
    from chalicelib.providers.base import Provider
    from chalicelib.settings import Settings


def providers(settings: Settings, now: clock.Clock = clock.now) -> dict[str, Provider]:
    """Every provider by its name, with the deployment's own endpoints where it has some."""
    from chalicelib.providers.catalogue import catalogue
    from chalicelib.providers.google import Google
    from chalicelib.providers.microsoft import Microsoft

    facts = catalogue(settings.provider_endpoints)
    return {
        "microsoft": Microsoft(facts["microsoft"], extra_ca=settings.extra_ca, now=now),
        "google": Google(facts["google"], extra_ca=settings.extra_ca, now=now),
    }
