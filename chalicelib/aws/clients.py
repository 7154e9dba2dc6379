"""The AWS clients, each made when it is first used and kept for the life of the process."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

from chalicelib.aws.dates import listen
from chalicelib.settings import entry_point

if TYPE_CHECKING:
    from botocore.config import Config
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient

    from chalicelib.aws.events import PutsEvents
    from chalicelib.aws.identity import GivesIdentity
    from chalicelib.settings import Settings

CONNECT_TIMEOUT = 3
"""Seconds. AWS's own endpoints are in the same Region."""

USER_AGENT = "mailgrant"
"""Of our own, because botocore builds its own one twice for every request, with a tenth of its time."""

INVOKE_TIMEOUT = 70
"""Seconds that an invoke may take: more than the 60 s that the invoked functions may run."""

API_INVOKE_TIMEOUT = 25
"""Seconds that the function of the API waits: it is ended after 29, as API Gateway is, and answers before."""


class Clients:
    """Makes every client in one way.

    Clients may be used by several threads, but a session may not make two at once (boto3, "Multithreading").
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._making = threading.Lock()

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        """Tables; two retries more than the others, because a refused write of a token costs most."""
        client: DynamoDBClient = self._client("dynamodb", read_timeout=5, attempts=5)
        return client

    @cached_property
    def kms(self) -> KMSClient:
        """Keys."""
        client: KMSClient = self._client("kms", read_timeout=5)
        return client

    @cached_property
    def secretsmanager(self) -> SecretsManagerClient:
        """The credentials of connectors."""
        client: SecretsManagerClient = self._client("secretsmanager", read_timeout=5)
        return client

    @cached_property
    def s3(self) -> S3Client:
        """Message bytes."""
        client: S3Client = self._client("s3", read_timeout=20)
        return client

    @cached_property
    def sqs(self) -> SQSClient:
        """Wake-ups, chunks of refreshes, rescued tokens; a long poll takes up to 20 s of the read timeout."""
        client: SQSClient = self._client("sqs", read_timeout=25)
        return client

    @cached_property
    def lambda_(self) -> LambdaClient:
        """Other functions of ours; never retried by botocore, since a repeated invoke runs twice."""
        seconds = API_INVOKE_TIMEOUT if entry_point() == "app" else INVOKE_TIMEOUT
        client: LambdaClient = self._client("lambda", read_timeout=seconds, attempts=1)
        return client

    @cached_property
    def ssm(self) -> SSMClient:
        """The public URL."""
        client: SSMClient = self._client("ssm", read_timeout=5)
        return client

    @cached_property
    def events(self) -> PutsEvents:
        """The event bus."""
        client: PutsEvents = self._client("events", read_timeout=5)
        return client

    @cached_property
    def sts(self) -> GivesIdentity:
        """Who we are. GetWebIdentityToken is not offered at the global endpoint, so this is the Region's."""
        client: GivesIdentity = self._client("sts", read_timeout=5)
        return client

    def _client(self, service: str, *, read_timeout: int, attempts: int = 3) -> Any:
        from botocore.config import Config

        config = Config(
            user_agent=USER_AGENT,
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=read_timeout,
            retries={"mode": "standard", "total_max_attempts": attempts},
        )
        with self._making:
            client = self._session.client(service, config=config)
        listen(client.meta.events)
        return client

    @cached_property
    def _session(self) -> _Session:
        return _Session(self._settings.region)


class _Session:
    """The one method of boto3's Session that is used, without boto3.

    Importing boto3 also imports S3's transfer manager, which takes a third of a cold start.
    """

    def __init__(self, region: str) -> None:
        from botocore.session import Session

        self._session = Session()
        self._region = region

    def client(self, service: str, *, config: Config) -> Any:
        """A new client. The endpoint comes from AWS_ENDPOINT_URL, which botocore reads."""
        return self._session.create_client(service, region_name=self._region, config=config)
