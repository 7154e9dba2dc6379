"""What a deployment sets: the only reader of the environment."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from chalicelib.errors import ConfigurationError

Network = IPv4Network | IPv6Network

REQUIRED = ("STAGE", "AWS_REGION", "BUCKET")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that differs between deployments. Names of tables and functions follow from the stage.

    `provider_endpoints` replaces parts of the catalogue, by provider name (the sandbox does so);
    `extra_ca` is PEM text of certificate authorities that are trusted besides the usual ones;
    `allowed_private_networks` are the only private addresses that may be connected to.
    A queue URL or key ARN that a function has no right to use is an empty string there.
    """

    stage: str
    region: str
    bucket: str
    relay_queue_url: str = ""
    refresh_queue_url: str = ""
    rescue_queue_url: str = ""
    grants_key_arn: str = ""
    access_tokens_key_arn: str = ""
    public_url_parameter: str = ""
    provider_endpoints: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    extra_ca: str = ""
    allowed_private_networks: tuple[Network, ...] = ()

    def table(self, noun: str) -> str:
        """The name of a table, for example ``mailgrant-prod-accounts``."""
        return f"mailgrant-{self.stage}-{noun}"

    def function(self, noun: str) -> str:
        """The name of a Lambda function, for example ``mailgrant-prod-connect``."""
        return f"mailgrant-{self.stage}-{noun}"

    def secret_name(self, connector: str) -> str:
        """The Secrets Manager name of a connector's credential."""
        return f"mailgrant-{self.stage}/connector/{connector}"

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Reads the environment; raises ConfigurationError that names every missing variable at once."""
        found = os.environ if env is None else env
        missing = [name for name in REQUIRED if not found.get(name)]
        if missing:
            raise ConfigurationError(f"These environment variables are not set: {', '.join(missing)}")
        return cls(
            stage=found["STAGE"],
            region=found["AWS_REGION"],
            bucket=found["BUCKET"],
            relay_queue_url=found.get("RELAY_QUEUE_URL", ""),
            refresh_queue_url=found.get("REFRESH_QUEUE_URL", ""),
            rescue_queue_url=found.get("RESCUE_QUEUE_URL", ""),
            grants_key_arn=found.get("GRANTS_KEY_ARN", ""),
            access_tokens_key_arn=found.get("ACCESS_TOKENS_KEY_ARN", ""),
            public_url_parameter=found.get("PUBLIC_URL_PARAMETER", ""),
            provider_endpoints=_json_object("PROVIDER_ENDPOINTS", found.get("PROVIDER_ENDPOINTS", "")),
            extra_ca=found.get("EXTRA_CA", ""),
            allowed_private_networks=_networks(found.get("ALLOWED_PRIVATE_NETWORKS", "")),
        )


def _json_object(name: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError as error:
        raise ConfigurationError(f"{name} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigurationError(f"{name} is not a JSON object")
    return value


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ConfigurationError(f"ALLOWED_PRIVATE_NETWORKS: {error}") from error
