"""botocore's errors in our words.

==============================================  =====================================================
botocore                                        ours
==============================================  =====================================================
ConditionalCheckFailed, also in a transaction   ConditionFailed, which the table turns into an answer
a row of 400 KB, rows of one key of 10 GB       TooLargeToStore, likewise
throttling, timeouts, connections, 5xx          errors.Unavailable
anything else: denied, missing, invalid, and    errors.ConfigurationError
requests that botocore does not even send
==============================================  =====================================================
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from chalicelib.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from botocore.exceptions import ClientError

SERVER_ERROR = 500

TRANSIENT = frozenset(
    {
        "BandwidthLimitExceeded",
        "InternalFailure",
        "InternalServerError",
        "InternalServiceError",
        "KMSInternalException",
        "DependencyTimeoutException",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceException",
        "ServiceUnavailable",
        "SlowDown",
        "ThrottledException",
        "ThrottlingError",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)


class ConditionFailed(Exception):
    """A conditional write was refused. Never leaves `aws`.

    `item` is the row that was found where the write asked for it; `reasons` are the codes of a
    transaction's parts, in their order (``None`` for a part that would have passed).
    """

    def __init__(self, item: dict[str, Any] | None = None, reasons: tuple[str, ...] = ()) -> None:
        super().__init__("a condition of the write did not hold")
        self.item = item
        self.reasons = reasons


class TooLargeToStore(Exception):
    """A row, or all rows of one key together, would exceed what DynamoDB holds. Never leaves `aws`."""


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Runs AWS calls and translates what they raise; `what` names the thing as in "The table of grants"."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError

    try:
        yield
    except ClientError as error:
        raise _ours(what, error) from error
    except (NoCredentialsError, ParamValidationError) as error:
        # The text of the second quotes what was to be sent, so it is not taken over.
        raise ConfigurationError(f"{what}: {type(error).__name__}") from error
    except BotoCoreError as error:
        raise unavailable(what, type(error).__name__) from error


def unavailable(what: str, why: str) -> Unavailable:
    """The error that says that something of ours did not answer."""
    return Unavailable(f"{what} did not answer ({why}).", fix="Send the same request again in a moment.")


def _ours(what: str, error: ClientError) -> Exception:
    answer = cast("Mapping[str, Any]", error.response)
    code = str(answer.get("Error", {}).get("Code", ""))
    if code == "ConditionalCheckFailedException":
        return ConditionFailed(item=answer.get("Item"))
    if code == "ItemCollectionSizeLimitExceededException" or (
        code == "ValidationException" and "Item size" in str(answer.get("Error", {}).get("Message", ""))
    ):
        return TooLargeToStore(what)
    if code == "TransactionCanceledException":
        return _cancelled(what, answer.get("CancellationReasons", []))
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in TRANSIENT or status >= SERVER_ERROR:
        return unavailable(what, code)
    return ConfigurationError(f"{what}: AWS answered {code}")


def _cancelled(what: str, found: list[Mapping[str, Any]]) -> Exception:
    reasons = tuple(str(reason.get("Code", "None")) for reason in found)
    if "ConditionalCheckFailed" in reasons:
        return ConditionFailed(reasons=reasons)
    if any(reason in {"ValidationError", "AccessDenied"} for reason in reasons):
        return ConfigurationError(f"{what}: a transaction was refused ({', '.join(reasons)})")
    return unavailable(what, ", ".join(reasons) or "TransactionCanceledException")
