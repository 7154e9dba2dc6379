"""Row U-F2: a change of the public URL reaches processes that live on."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from chalicelib import clock
from chalicelib.aws.parameters import MEMORY, PublicUrl
from chalicelib.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:
    from tests.unit.aws_tables import Aws

pytestmark = pytest.mark.aws


class Urls:
    """A parameter of its own, and who reads it by a clock that a test moves."""

    def __init__(self, aws: Aws) -> None:
        self.client = aws.clients.ssm
        self.name = f"/mailgrant/{secrets.token_hex(4)}/public-url"
        self.later = 0
        self.url = PublicUrl(self.client, self.name, lambda: clock.now() + self.later)

    def write(self, value: str) -> None:
        """Gives the stage another URL."""
        self.client.put_parameter(Name=self.name, Value=value, Type="String", Overwrite=True)


@pytest.fixture
def urls(aws: Aws) -> Urls:
    """A stage that has a URL."""
    urls = Urls(aws)
    urls.write("https://old.example/api/")
    return urls


def test_uf2_a_new_url_is_used_when_the_old_one_is_old(urls: Urls) -> None:
    first = urls.url()
    urls.write("https://new.example")
    remembered = urls.url()
    urls.later = MEMORY

    assert (first, remembered, urls.url()) == (
        "https://old.example/api",
        "https://old.example/api",
        "https://new.example",
    )


def test_uf2_a_url_that_cannot_be_read_anew_is_used_on(urls: Urls, monkeypatch: pytest.MonkeyPatch) -> None:
    urls.url()
    urls.later = MEMORY

    def unavailable() -> None:
        raise Unavailable("It did not answer.", fix="Try again.")

    monkeypatch.setattr(urls.url, "_read", unavailable)

    assert urls.url() == "https://old.example/api"


def test_a_url_without_https_is_refused(urls: Urls) -> None:
    urls.write("http://plain.example")

    with pytest.raises(ConfigurationError):
        urls.url()
