"""The AWS clients, each made when it is first used and kept for the life of the process."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from boto3 import Session
    from botocore.config import Config
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

    from chalicelib.aws.events import PutsEvents
    from chalicelib.settings import Settings

CONNECT_TIMEOUT = 3
"""Seconds. AWS's own endpoints are in the same Region."""

INVOKE_TIMEOUT = 70
"""Seconds that an invoke may take: more than the 60 s that the invoked functions may run."""


class Clients:
    """Makes every boto3 client in one way. The endpoint comes from AWS_ENDPOINT_URL, which botocore reads.

    Clients may be used by several threads, but a session may not make two at once (boto3, "Multithreading").
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._making = threading.Lock()

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        """Tables; two retries more than the others, because a refused write of a token costs most."""
        with self._making:
            return self._session.client("dynamodb", config=_config(read_timeout=5, attempts=5))

    @cached_property
    def kms(self) -> KMSClient:
        """Keys."""
        with self._making:
            return self._session.client("kms", config=_config(read_timeout=5))

    @cached_property
    def secretsmanager(self) -> SecretsManagerClient:
        """The credentials of connectors."""
        with self._making:
            return self._session.client("secretsmanager", config=_config(read_timeout=5))

    @cached_property
    def s3(self) -> S3Client:
        """Message bytes."""
        with self._making:
            return self._session.client("s3", config=_config(read_timeout=20))

    @cached_property
    def sqs(self) -> SQSClient:
        """Wake-ups, chunks of refreshes, rescued tokens; a long poll takes up to 20 s of the read timeout."""
        with self._making:
            return self._session.client("sqs", config=_config(read_timeout=25))

    @cached_property
    def lambda_(self) -> LambdaClient:
        """Other functions of ours; never retried by botocore, since a repeated invoke runs twice."""
        with self._making:
            return self._session.client("lambda", config=_config(read_timeout=INVOKE_TIMEOUT, attempts=1))

    @cached_property
    def ssm(self) -> SSMClient:
        """The public URL."""
        with self._making:
            return self._session.client("ssm", config=_config(read_timeout=5))

    @cached_property
    def events(self) -> PutsEvents:
        """The event bus."""
        with self._making:
            events: PutsEvents = self._session.client("events", config=_config(read_timeout=5))
            return events

    @cached_property
    def _session(self) -> Session:
        import boto3

        return boto3.Session(region_name=self._settings.region)


def _config(*, read_timeout: int, attempts: int = 3) -> Config:
    from botocore.config import Config

    return Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
    )
