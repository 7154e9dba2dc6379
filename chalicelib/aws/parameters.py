"""What the stack says of itself: the public URL, in a parameter, because a function cannot know it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.aws.failures import translated
from chalicelib.clock import MINUTE, SECOND
from chalicelib.errors import ConfigurationError, Unavailable
from chalicelib.logs import logger

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

    from chalicelib.clock import Clock

REMEMBERED = MINUTE
"""Milliseconds. An execution environment lives for hours: without an age it would hand out links of a domain
that the stage has left. SSM gives 40 parameters a second without being paid for more."""

log = logger("parameters")


class PublicUrl:
    """Reads the public URL, at most REMEMBERED old; never taken from a Host header.

    While SSM does not answer, the URL that it gave last is used for as long again.
    """

    def __init__(self, client: SSMClient, parameter: str, clock: Clock) -> None:
        self._client = client
        self._parameter = parameter
        self._clock = clock
        self._value = ""
        self._since = 0
        self._fresh_until = 0

    def __call__(self) -> str:
        """The URL without a slash at its end.

        Raises ConfigurationError when it is not https, and Unavailable when it was never read.
        """
        now = self._clock()
        if not self._value or not self._fresh_until - REMEMBERED <= now < self._fresh_until:
            self._renew()
            self._fresh_until = now + REMEMBERED
        return self._value

    def since(self) -> int:
        """When the application was first deployed since its data was there, or was given this URL (ms)."""
        self()
        return self._since

    def _renew(self) -> None:
        try:
            self._read()
        except Unavailable:
            if not self._value:
                raise
            log.warning("the public URL was not read anew", exc_info=True)

    def _read(self) -> None:
        with translated("The parameter of the public URL"):
            parameter = self._client.get_parameter(Name=self._parameter)["Parameter"]
        value = parameter.get("Value", "")
        if not value.startswith("https://"):
            raise ConfigurationError("The public URL must begin with https://")
        self._value = value.rstrip("/")
        self._since = int(parameter["LastModifiedDate"].timestamp() * SECOND)
