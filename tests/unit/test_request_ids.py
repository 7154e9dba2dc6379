"""Row U-F11: a client cannot choose the id by which its request stands in logs and answers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.web.tracing import request_id

OWN = "867c165e-c6a6-4132-ba8e-b01e0e267119"
EXTENDED = "JKJaXmPLvHcESHA="
LAMBDA = "8f5d6d1c-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("context", "chosen"),
    [
        ({"requestId": OWN, "extendedRequestId": EXTENDED}, OWN),
        ({"requestId": "chosen by a client", "extendedRequestId": EXTENDED}, EXTENDED),
        ({"requestId": f"{OWN}\n{OWN}", "extendedRequestId": EXTENDED}, EXTENDED),
        ({"requestId": "x" * 10_000}, LAMBDA),
        ({"requestId": "", "extendedRequestId": "a b"}, LAMBDA),
        ({}, LAMBDA),
    ],
)
def test_uf11_an_id_that_a_client_set_is_not_taken(context: dict[str, str], chosen: str) -> None:
    request: Any = SimpleNamespace(context=context, lambda_context=SimpleNamespace(aws_request_id=LAMBDA))

    assert request_id(request) == chosen
