"""How a provider treats refresh tokens when they are used."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Temperament:
    """A policy for refresh tokens; each client registration has one.

    ``rotates``: every refresh answers with a new refresh token.
    ``old_stays_valid``: a refresh token that was replaced may still be used. Where it may not, its use ends
    every refresh token of the consent (RFC 9700, section 4.14.2).
    """

    name: str
    rotates: bool
    old_stays_valid: bool


# To add a temperament, add a row; a client registration names it.
TEMPERAMENTS = {
    temperament.name: temperament
    for temperament in (
        Temperament("microsoft", rotates=True, old_stays_valid=True),
        Temperament("google", rotates=False, old_stays_valid=True),
        Temperament("openid", rotates=True, old_stays_valid=False),
        Temperament("strict", rotates=True, old_stays_valid=False),
    )
}
