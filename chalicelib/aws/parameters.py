"""What the stack says of itself: the public URL, in a parameter, because a function cannot know it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.aws.failures import translated
from chalicelib.clock import SECOND
from chalicelib.errors import ConfigurationError

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


class PublicUrl:
    """Reads the public URL when it is first asked for; never taken from a Host header."""

    def __init__(self, client: SSMClient, parameter: str) -> None:
        self._client = client
        self._parameter = parameter
        self._known = ""
        self._since = 0

    def __call__(self) -> str:
        """The URL without a slash at its end. Raises ConfigurationError when it is not https."""
        if not self._known:
            self._read()
        return self._known

    def since(self) -> int:
        """When the application was first deployed since its data was there, or was given this URL (ms)."""
        self()
        return self._since

    def _read(self) -> None:
        with translated("The parameter of the public URL"):
            found = self._client.get_parameter(Name=self._parameter)["Parameter"]
        value = found.get("Value", "")
        if not value.startswith("https://"):
            raise ConfigurationError("The public URL must begin with https://")
        self._known = value.rstrip("/")
        self._since = int(found["LastModifiedDate"].timestamp() * SECOND)
