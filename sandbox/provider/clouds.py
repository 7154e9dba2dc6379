"""Microsoft's clouds, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cloud:
    """A national cloud with a login host of its own, which is a path here. ``graphs`` has its usual first."""

    name: str
    path: str
    outlooks: tuple[str, ...]
    graphs: tuple[str, ...]


CLOUDS = (
    Cloud(
        "global",
        "",
        ("https://outlook.office.com", "https://outlook.office365.com"),
        ("https://graph.microsoft.com",),
    ),
    Cloud(
        "us",
        "/us",
        ("https://outlook.office365.us", "https://outlook-dod.office365.us"),
        ("https://graph.microsoft.us", "https://dod-graph.microsoft.us"),
    ),
    Cloud("cn", "/cn", ("https://partner.outlook.cn",), ("https://microsoftgraph.chinacloudapi.cn",)),
)
