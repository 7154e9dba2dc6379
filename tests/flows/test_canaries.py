"""The watch of a sandbox: what passes its front is learned there, and searched there."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from tests.canary.watch import LeakedError, Watch

if TYPE_CHECKING:
    from sandbox.cast import Cast
    from sandbox.stack import Sandbox


def test_a_secret_in_a_url_ends_the_run_and_a_new_key_is_learned(sandbox: Sandbox, cast: Cast) -> None:
    watch, secret = Watch(), secrets.token_hex(32)  # a secret that the watch of this run does not know
    watch.canaries.add("verifier", secret)
    asked = {"kind": "key", "name": "leaks", "scopes": ["read"], "accounts": ["*"]}

    def leak() -> str:
        cast.person().session.get(f"{sandbox.url}/healthz?verifier={secret}", timeout=30)
        return str(cast.api.post("/v1/callers", asked)["key"])

    with pytest.raises(LeakedError, match="verifier in path"), watch.sandbox(sandbox):
        key = leak()

    assert {leak.kind for leak in watch.canaries.find("anywhere", key)} == {"API key"}
