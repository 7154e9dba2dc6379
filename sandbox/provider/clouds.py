"""Microsoft's clouds, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Cloud:
    """A national cloud with a login host of its own, which is a path here.

    ``graphs`` are the paths of Graph's hosts by what they are called in scopes, the usual one first.
    """

    name: str
    path: str
    outlooks: tuple[str, ...]
    graphs: Mapping[str, str]

    @property
    def graph(self) -> str:
        """What Graph is called where a scope does not say it."""
        return next(iter(self.graphs))


CLOUDS = (
    Cloud(
        "global",
        "",
        ("https://outlook.office.com", "https://outlook.office365.com"),
        {"https://graph.microsoft.com": ""},
    ),
    Cloud(
        "us",
        "/us",
        ("https://outlook.office365.us", "https://outlook-dod.office365.us"),
        {"https://graph.microsoft.us": "/us", "https://dod-graph.microsoft.us": "/dod"},
    ),
    Cloud("cn", "/cn", ("https://partner.outlook.cn",), {"https://microsoftgraph.chinacloudapi.cn": "/cn"}),
)
