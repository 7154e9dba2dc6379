"""What botocore raises, in our words."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)

from chalicelib.aws.failures import ConditionFailed, translated
from chalicelib.errors import ConfigurationError, Unavailable


def answered(code: str, status: int = 400, *reasons: str) -> ClientError:
    """An error that AWS has answered."""
    answer: Any = {
        "Error": {"Code": code, "Message": "told by AWS"},
        "ResponseMetadata": {"HTTPStatusCode": status},
        "CancellationReasons": [{"Code": reason} for reason in reasons],
    }
    return ClientError(answer, "Call")


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (answered("ConditionalCheckFailedException"), ConditionFailed),
        (answered("TransactionCanceledException", 400, "None", "ConditionalCheckFailed"), ConditionFailed),
        (answered("TransactionCanceledException", 400, "TransactionConflict"), Unavailable),
        (answered("TransactionCanceledException", 400, "ValidationError"), ConfigurationError),
        (answered("ProvisionedThroughputExceededException"), Unavailable),
        (answered("TooManyRequestsException", 429), Unavailable),
        (answered("Unheard", 503), Unavailable),
        (answered("AccessDeniedException"), ConfigurationError),
        (answered("ResourceNotFoundException"), ConfigurationError),
        (ReadTimeoutError(endpoint_url="https://aws"), Unavailable),
        (EndpointConnectionError(endpoint_url="https://aws"), Unavailable),
        (NoCredentialsError(), ConfigurationError),
        (ParamValidationError(report="the secret"), ConfigurationError),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, Exception) else value.__name__,
)
def test_an_error_is_translated(error: Exception, ours: type[Exception]) -> None:
    with pytest.raises(ours) as raised, translated("The table"):
        raise error

    assert raised.value.__cause__ is error
    assert "the secret" not in str(raised.value)
