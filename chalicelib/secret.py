"""A string that does not show itself."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Secret:
    """Holds a token, a client secret or a key; its repr and str never show the value.

    Use `reveal()` at the one place where the value leaves for its provider, server or vault.
    """

    _value: str = field(repr=False)

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def __str__(self) -> str:
        """Says that there is a value, and not which."""
        return "Secret(…)"
