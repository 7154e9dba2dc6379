"""Metrics without a library or a right: a line of the log that CloudWatch reads as figures too.

That is CloudWatch's embedded metric format ("Specification: Embedded metric format"): the figures stand in
the line beside its facts, and ``_aws`` says which of them are figures. A figure is billed for each hour in
which it comes, once for every value of its dimensions: so there are few, and never one for each account.

=================  ============  ===============================================  ==================
figure             unit          counts or measures                               by
=================  ============  ===============================================  ==================
Accepted           Count         messages taken in                                stage
AcceptTime         Milliseconds  from a request to its message being stored       stage
Sent               Count         attempts after which a server has the message    stage and provider
Deferred           Count         attempts that are followed by another one        stage and provider
Failed             Count         messages given up                                stage and provider
Unknown            Count         attempts of which nobody knows how they ended    stage
OldestDue          Seconds       how long the oldest mail that could go waits     stage
Refreshed          Count         access tokens that a provider gave               stage and provider
RefreshFailures    Count         refreshes that gave none                         stage
AccountsNeedOwner  Count         mailboxes whose owner must connect them again    stage
NearestExpiry      Seconds       until a grant ends, or is forgotten              stage
=================  ============  ===============================================  ==================

NearestExpiry is told of each grant that somebody must see to: daily of one that its provider has given an end
(Google's for an app in testing, 7 days), and with each refusal. Not of what nobody tells us: when a client
secret ends (only Microsoft Graph would say so, to who has further rights), or that Microsoft ends the grants
of a redirect URI of the kind SPA after 24 hours (its refusal, AADSTS700084, says so afterwards).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMESPACE = "Mailgrant"

STAGE = ("stage",)
STAGE_AND_PROVIDER = ("stage", "provider")

FIGURES: dict[str, tuple[str, tuple[str, ...]]] = {
    "Accepted": ("Count", STAGE),
    "AcceptTime": ("Milliseconds", STAGE),
    "Sent": ("Count", STAGE_AND_PROVIDER),
    "Deferred": ("Count", STAGE_AND_PROVIDER),
    "Failed": ("Count", STAGE_AND_PROVIDER),
    "Unknown": ("Count", STAGE),
    "OldestDue": ("Seconds", STAGE),
    "Refreshed": ("Count", STAGE_AND_PROVIDER),
    "RefreshFailures": ("Count", STAGE),
    "AccountsNeedOwner": ("Count", STAGE),
    "NearestExpiry": ("Seconds", STAGE),
}
"""Figure → its unit and its dimensions."""


def embedded(figures: Mapping[str, float], at: int) -> dict[str, Any]:
    """What makes a line of the log one of figures; `at` is in milliseconds.

    The line has to have the dimensions as fields of its own. Raises KeyError for an unknown figure.
    """
    by_dimensions: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for name in figures:
        unit, dimensions = FIGURES[name]
        by_dimensions.setdefault(dimensions, []).append({"Name": name, "Unit": unit})
    directives = [
        {"Namespace": NAMESPACE, "Dimensions": [list(dimensions)], "Metrics": found}
        for dimensions, found in by_dimensions.items()
    ]
    return {**figures, "_aws": {"Timestamp": at, "CloudWatchMetrics": directives}}
