"""The bucket of message bytes that are too long for a table row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.aws.failures import translated

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_s3 import S3Client

WHAT = "The bucket"


class Bucket:
    """Implements mail.ports.Blobs. A key holds the digest of its bytes, so no object is ever overwritten.

    `client` gives the client: few messages need it.
    """

    def __init__(self, client: Callable[[], S3Client], bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put(self, key: str, data: bytes) -> None:
        """Writes the object."""
        with translated(WHAT):
            self._client().put_object(Bucket=self._bucket, Key=key, Body=data, ContentType="message/rfc822")

    def get(self, key: str) -> bytes | None:
        """Reads the object; None when somebody has deleted it.

        S3 says so only to who may list the bucket; to others it says "denied", which is a ConfigurationError.
        """
        client = self._client()
        with translated(WHAT):
            try:
                return client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
            except client.exceptions.NoSuchKey:
                return None
