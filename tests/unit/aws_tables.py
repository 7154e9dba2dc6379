"""A local AWS with the data stack's tables, keys and queues, for tests of stores and flows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from chalicelib.aws.clients import Clients
from chalicelib.settings import Settings
from cli.stacks import deploy_data_stack
from sandbox.aws.emulator import REGION, Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.canary.watch import Watch

STAGE = "unit"

SHARED = ("dynamodb", "kms", "secretsmanager", "s3", "sqs")
"""Clients that are made once, so that the worlds of single tests share them."""


@dataclass(frozen=True)
class Aws:
    """The emulator's clients, and the settings that fit them."""

    emulator: Emulator
    clients: Clients
    settings: Settings


def settings_of(stage: str, outputs: Mapping[str, str]) -> Settings:
    """The settings of a stage whose data stack has these outputs."""
    return Settings(
        stage=stage,
        region=REGION,
        bucket=outputs["BucketName"],
        relay_queue_url=outputs["RelayQueueUrl"],
        refresh_queue_url=outputs["RefreshQueueUrl"],
        rescue_queue_url=outputs["RescueQueueUrl"],
        grants_key_arn=outputs["GrantsKeyArn"],
        access_tokens_key_arn=outputs["AccessTokensKeyArn"],
    )


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory, canaries: Watch) -> Iterator[Aws]:
    """One emulator with an empty data stack for the whole run; tests use accounts of their own."""
    emulator = Emulator(tmp_path_factory.mktemp("aws") / "ministack")
    emulator.start()
    try:
        session = emulator.session()
        outputs = deploy_data_stack(session, STAGE, lambda _: None)
        settings = settings_of(STAGE, outputs)
        clients = Clients(settings)
        clients.__dict__["_session"] = session
        for name in SHARED:
            getattr(clients, name)
        with canaries.emulator(emulator):
            yield Aws(emulator, clients, settings)
    finally:
        emulator.stop()
