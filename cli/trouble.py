"""What stops a deployment, in the shape of every other error: a code, what is wrong, and how to mend it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import MailgrantError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEW_CREDENTIALS: Final = (
    "Get new ones (aws sso login, or aws configure), or name a profile that has them by --profile; "
    "aws sts get-caller-identity shows whether they work."
)
NAME_A_REGION: Final = "Name one by --region or AWS_REGION, such as --region eu-west-1."

_BY_CLASS: Final[dict[type[BotoCoreError], tuple[str, str]]] = {
    boto.NoCredentialsError: (
        "aws_credentials_missing",
        (
            "Log in (aws sso login, or aws configure), name a --profile, or set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY. A region is needed too: --region eu-west-1, or AWS_REGION."
        ),
    ),
    boto.PartialCredentialsError: (
        "aws_credentials_missing",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY both, or neither.",
    ),
    boto.ProfileNotFound: (
        "aws_credentials_missing",
        "aws configure list-profiles shows the profiles that there are; --profile or AWS_PROFILE names one.",
    ),
    boto.SSOError: ("aws_credentials_expired", _NEW_CREDENTIALS),
    boto.LoginError: ("aws_credentials_expired", _NEW_CREDENTIALS),
    boto.TokenRetrievalError: ("aws_credentials_expired", _NEW_CREDENTIALS),
    boto.CredentialRetrievalError: ("aws_credentials_invalid", _NEW_CREDENTIALS),
    boto.RefreshWithMFAUnsupportedError: ("aws_credentials_expired", _NEW_CREDENTIALS),
    boto.InvalidConfigError: ("aws_credentials_invalid", "Correct ~/.aws/config or ~/.aws/credentials."),
    boto.ConfigParseError: ("aws_credentials_invalid", "Correct ~/.aws/config or ~/.aws/credentials."),
    boto.NoRegionError: ("aws_region_missing", NAME_A_REGION),
    boto.InvalidRegionError: ("aws_region_missing", NAME_A_REGION),
    boto.ProxyConnectionError: ("aws_unreachable", "Check HTTPS_PROXY, or unset it."),
    boto.SSLError: (
        "aws_unreachable",
        "If a proxy replaces certificates, name the file of its authority by AWS_CA_BUNDLE.",
    ),
    **dict.fromkeys(
        (boto.ConnectionError, boto.HTTPClientError),
        (
            "aws_unreachable",
            "Check the network, and that the region's name is right; then run the same command again.",
        ),
    ),
}
"""botocore's own errors → our code and the fix. The first class that fits, from the exact one upwards."""

_BY_CODE: Final[dict[str, tuple[str, str]]] = {
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"),
        ("aws_credentials_expired", _NEW_CREDENTIALS),
    ),
    **dict.fromkeys(
        (
            "InvalidClientTokenId",
            "UnrecognizedClientException",
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "InvalidSignatureException",
            "IncompleteSignature",
            "AuthFailure",
            "InvalidToken",
        ),
        (
            "aws_credentials_invalid",
            "The key id, the secret key or the session token is wrong, or this machine's clock is. "
            + _NEW_CREDENTIALS,
        ),
    ),
    **dict.fromkeys(
        ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"),
        (
            "aws_denied",
            "Allow the action that is named (docs/operations.md#rights lists all), or use another --profile.",
        ),
    ),
    **dict.fromkeys(
        ("OptInRequired", "SubscriptionRequiredException"),
        ("aws_region_missing", f"This account has not enabled the region. {NAME_A_REGION}"),
    ),
    **dict.fromkeys(
        ("Throttling", "ThrottlingException", "TooManyRequestsException", "ServiceUnavailable", "SlowDown"),
        ("aws_unreachable", "Run the same command again in a minute."),
    ),
}


class Trouble(Exception):
    """Why something cannot go on: `code` is for programs, the text says what is wrong, `fix` mends it."""

    def __init__(self, code: str, message: str, fix: str) -> None:
        super().__init__(message)
        self.code = code
        self.fix = fix

    @classmethod
    def of(cls, error: BotoCoreError | ClientError) -> Trouble:
        """What AWS or botocore said, in our words."""
        if isinstance(error, ClientError):
            found = error.response.get("Error", {})
            code = found.get("Code", "")
            message = f"AWS refused {error.operation_name}: {found.get('Message') or code}"
            known = _BY_CODE.get(code)
        else:
            message = str(error)
            known = next((_BY_CLASS[kind] for kind in type(error).__mro__ if kind in _BY_CLASS), None)
        return cls(*((known[0], message, known[1]) if known else ("aws_refused", message, _UNKNOWN)))


_UNKNOWN: Final = "See what AWS says, mend it there, and run the same command again."


@contextmanager
def untouched() -> Iterator[None]:
    """Has all Trouble of a part that only looks say so."""
    try:
        yield
    except Trouble as trouble:
        message = str(trouble).rstrip(".")
        raise Trouble(trouble.code, f"{message}. Nothing was changed.", trouble.fix) from trouble


@contextmanager
def explained() -> Iterator[None]:
    """Turns what botocore and the application's own tables raise inside into Trouble."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise Trouble.of(error) from error
    except MailgrantError as error:
        raise Trouble(error.error_code, error.message, error.fix) from error
