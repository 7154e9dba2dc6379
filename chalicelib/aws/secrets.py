"""The credentials of connectors, in Secrets Manager: few and precious."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from chalicelib import clock
from chalicelib.aws.failures import translated
from chalicelib.errors import Conflict
from chalicelib.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_secretsmanager import SecretsManagerClient

RECOVERY_DAYS = 30
"""How long a deleted secret can be restored in Secrets Manager; the longest that there is, and free."""
REMEMBERED = 300.0
"""Seconds. A rotated secret is used everywhere within this time, or at the first refusal of the old one."""


class ConnectorSecrets:
    """Reads and writes one secret per connector; Secrets Manager keeps the one before it (AWSPREVIOUS)."""

    def __init__(
        self,
        client: SecretsManagerClient,
        name: Callable[[str], str],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._name = name
        self._seconds = seconds
        self._remembered: dict[str, tuple[Secret, float]] = {}

    def get(self, connector: str) -> Secret:
        """The current credential, at most REMEMBERED seconds old. Raises Conflict when none was saved."""
        known = self._remembered.get(connector)
        if known and known[1] > self._seconds():
            return known[0]
        secret = self._fetch(connector)
        self._remembered[connector] = (secret, self._seconds() + REMEMBERED)
        return secret

    def save(self, connector: str, secret: Secret) -> bool:
        """Makes it the current credential; whether there is one before it, which stays as AWSPREVIOUS."""
        client = self._client
        with translated("The store of secrets"):
            try:
                client.put_secret_value(SecretId=self._name(connector), SecretString=secret.reveal())
                replaced = True
            except client.exceptions.ResourceNotFoundException:
                client.create_secret(Name=self._name(connector), SecretString=secret.reveal())
                replaced = False
        self.forget(connector)
        return replaced

    def delete(self, connector: str) -> int:
        """Has it deleted; until when (ms) Secrets Manager can restore it. Now, where there is none to delete.

        One that is to be deleted already is left as it is: its days are not counted anew.
        """
        client = self._client
        self.forget(connector)
        with translated("The store of secrets"):
            try:
                answer = client.delete_secret(
                    SecretId=self._name(connector), RecoveryWindowInDays=RECOVERY_DAYS
                )
                ends = answer["DeletionDate"]
            except client.exceptions.InvalidRequestException:
                ends = client.describe_secret(SecretId=self._name(connector))["DeletedDate"]
            except client.exceptions.ResourceNotFoundException:
                return clock.now()
        return int(ends.timestamp() * clock.SECOND)

    def forget(self, connector: str) -> None:
        """Drops what is remembered."""
        self._remembered.pop(connector, None)

    def _fetch(self, connector: str) -> Secret:
        client = self._client
        with translated("The store of secrets"):
            try:
                return Secret(client.get_secret_value(SecretId=self._name(connector))["SecretString"])
            except client.exceptions.ResourceNotFoundException as error:
                raise Conflict(
                    "The connector has no client secret yet.",
                    fix="Save the client secret in the connector.",
                    code="connector_without_secret",
                ) from error
