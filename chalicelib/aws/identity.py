"""Who we are for others: a token that AWS signs for the role of the function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from chalicelib.aws.failures import translated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

AUDIENCE = "api://AzureADTokenExchange"
"""The only audience that Entra takes (Microsoft, "Workload identity federation: considerations")."""
LIFE = 300
"""Seconds. It is used at once."""


class GivesIdentity(Protocol):
    """What is used of boto3's client of STS."""

    def get_web_identity_token(
        self,
        *,
        Audience: Sequence[str],  # noqa: N803 - its name
        SigningAlgorithm: str,  # noqa: N803 - its name
        DurationSeconds: int,  # noqa: N803 - its name
    ) -> dict[str, Any]:
        """GetWebIdentityToken."""


class WebIdentity:
    """Has AWS sign a token for Entra (AWS, "Federating AWS identities to external services").

    `client` makes the client of STS: few invocations need it.
    """

    def __init__(self, client: Callable[[], GivesIdentity]) -> None:
        self._client = client

    def __call__(self) -> str:
        """A JWT, signed with RS256 as Entra wants it. Raises Unavailable or ConfigurationError."""
        with translated("The identity service of AWS"):
            answer = self._client().get_web_identity_token(
                Audience=[AUDIENCE], SigningAlgorithm="RS256", DurationSeconds=LIFE
            )
        return str(answer["WebIdentityToken"])
