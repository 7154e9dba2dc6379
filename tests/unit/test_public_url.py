"""The public URL in an execution environment that lives on while the stage is given another domain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import EndpointConnectionError

from chalicelib.aws.parameters import REMEMBERED, PublicUrl
from chalicelib.clock import SECOND
from chalicelib.errors import ConfigurationError, Unavailable
from tests.unit.log_lines import lines

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

    from tests.unit.aws_tables import Aws
    from tests.unit.log_lines import Lines

__all__ = ["lines"]

pytestmark = pytest.mark.aws

NAME = "/mailgrant/unit/public-url-of-this-module"


class Time:
    """A clock that stands (ms)."""

    def __init__(self) -> None:
        self.now = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def ssm(aws: Aws) -> SSMClient:
    client = aws.clients.ssm
    put(client, "https://old.example.com")
    return client


def put(client: SSMClient, url: str) -> None:
    client.put_parameter(Name=NAME, Type="String", Value=url, Overwrite=True)


def test_uf2_another_domain_reaches_an_environment_that_lives_on(ssm: SSMClient, time: Time) -> None:
    public_url = PublicUrl(ssm, NAME, time)
    assert public_url() == "https://old.example.com"

    put(ssm, "https://new.example.com/")

    time.now += REMEMBERED - 1
    assert public_url() == "https://old.example.com"
    time.now += 1
    assert public_url() == "https://new.example.com"


def test_uf2_the_date_of_the_deployment_is_as_young_as_the_url(ssm: SSMClient, time: Time) -> None:
    public_url = PublicUrl(ssm, NAME, time)
    public_url()
    put(ssm, "https://new.example.com")
    modified = ssm.get_parameter(Name=NAME)["Parameter"]["LastModifiedDate"]

    time.now += REMEMBERED

    assert public_url.since() == int(modified.timestamp() * SECOND)


def test_uf2_a_clock_that_was_put_back_does_not_keep_a_url_for_longer(ssm: SSMClient, time: Time) -> None:
    public_url = PublicUrl(ssm, NAME, time)
    public_url()
    put(ssm, "https://new.example.com")

    time.now -= 3600 * SECOND

    assert public_url() == "https://new.example.com"


def test_uf2_while_ssm_does_not_answer_the_url_stays_and_the_log_says_so(
    ssm: SSMClient, time: Time, lines: Lines
) -> None:
    public_url = PublicUrl(ssm, NAME, time)
    public_url()
    put(ssm, "https://new.example.com")

    def gone(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://ssm")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssm, "get_parameter", gone)
        time.now += REMEMBERED
        assert public_url() == "https://old.example.com"
        with pytest.raises(Unavailable):
            PublicUrl(ssm, NAME, time)()

    assert lines.all("the public URL was not read anew")
    time.now += REMEMBERED
    assert public_url() == "https://new.example.com"


def test_uf2_a_url_without_tls_is_refused_whenever_it_comes(ssm: SSMClient, time: Time) -> None:
    public_url = PublicUrl(ssm, NAME, time)
    public_url()
    put(ssm, "http://new.example.com")

    time.now += REMEMBERED

    with pytest.raises(ConfigurationError, match="https://"):
        public_url()
