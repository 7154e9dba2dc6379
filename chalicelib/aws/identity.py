"""Who we are for others: a token that AWS signs for the role of the function."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from chalicelib.aws.failures import translated
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import Diagnosed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

AUDIENCE = "api://AzureADTokenExchange"
"""The only audience that Entra takes (Microsoft, "Workload identity federation: considerations")."""
LIFE = 300
"""Seconds. It is used at once."""

OFF = Diagnosis(
    DiagnosisClass.ADMIN,
    "aws_identity_off",
    "This AWS account does not sign tokens for others.",
    "Run `aws iam enable-outbound-web-identity-federation` once in this account; it answers the issuer "
    "that the federated credential in Entra names.",
)
DENIED = Diagnosis(
    DiagnosisClass.ADMIN,
    "aws_identity_denied",
    "The function may not have a token signed by AWS.",
    "Deploy the present version, whose roles may; then look for a service control policy that denies "
    "sts:GetWebIdentityToken.",
)
UNKNOWN = Diagnosis(
    DiagnosisClass.ADMIN,
    "aws_identity_unknown",
    "The AWS library of this runtime is too old to ask for a token signed by AWS.",
    "Build with a newer Python and deploy: its runtime has a newer library (botocore 1.41 or newer knows "
    "GetWebIdentityToken).",
)
TOLD = {"OutboundWebIdentityFederationDisabledException": OFF, "AccessDenied": DENIED}
"""By the code of AWS: what an administrator of the AWS account can mend."""


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
        """A JWT, signed with RS256 as Entra wants it. Raises Diagnosed, Unavailable or ConfigurationError."""
        client = self._client()
        if not hasattr(client, "get_web_identity_token"):  # botocore makes methods of what it knows
            raise Diagnosed(UNKNOWN)
        with translated("The identity service of AWS"), _told():
            answer = client.get_web_identity_token(
                Audience=[AUDIENCE], SigningAlgorithm="RS256", DurationSeconds=LIFE
            )
        return str(answer["WebIdentityToken"])


@contextmanager
def _told() -> Iterator[None]:
    """Turns refusals that somebody can mend into their diagnosis."""
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        known = TOLD.get(str(error.response.get("Error", {}).get("Code")))
        if known is None:
            raise
        raise Diagnosed(known) from error
