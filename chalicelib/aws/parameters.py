"""What the stack says of itself: the public URL, in a parameter, because a function cannot know it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib import clock
from chalicelib.aws.failures import translated
from chalicelib.clock import MINUTE, SECOND
from chalicelib.errors import ConfigurationError, Unavailable
from chalicelib.logs import logger

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


MEMORY = 5 * MINUTE
"""How long a process remembers the URL: links with an old one are made no longer after it was changed."""

log = logger("public url")


class PublicUrl:
    """Reads the public URL when it is first asked for, and anew when it is old; never from a Host header."""

    def __init__(self, client: SSMClient, parameter: str, now: clock.Clock = clock.now) -> None:
        self._client = client
        self._parameter = parameter
        self._now = now
        self._url = ""
        self._since = 0
        self._read_at = 0

    def __call__(self) -> str:
        """The URL without a slash at its end. Raises ConfigurationError when it is not https.

        One that cannot be read anew is used on. Raises Unavailable where it was never read.
        """
        if not self._url:
            self._read()
        elif self._now() - self._read_at >= MEMORY:
            self._read_anew()
        return self._url

    def since(self) -> int:
        """When the application was first deployed since its data was there, or was given this URL (ms)."""
        self()
        return self._since

    def _read_anew(self) -> None:
        try:
            self._read()
        except Unavailable:
            log.warning("the public URL is used on, though it may have changed")

    def _read(self) -> None:
        with translated("The parameter of the public URL"):
            found = self._client.get_parameter(Name=self._parameter)["Parameter"]
        value = found.get("Value", "")
        if not value.startswith("https://"):
            raise ConfigurationError("The public URL must begin with https://")
        self._url = value.rstrip("/")
        self._read_at = self._now()
        self._since = int(found["LastModifiedDate"].timestamp() * SECOND)
