"""What connectors can be made for, in the API."""

from __future__ import annotations

from chalicelib.callers.models import Scope
from chalicelib.callers.permissions import require
from chalicelib.web.api import connector_records
from chalicelib.web.api.calls import Call
from chalicelib.web.api.shown import provider_record


def listed(call: Call) -> connector_records.ProviderList:
    """Every provider that is known: ways to connect, clouds, mail servers, and the scopes to choose from."""
    require(call.caller, Scope.READ)
    catalogue = call.services.catalogue
    return connector_records.ProviderList(providers=[provider_record(catalogue, name) for name in catalogue])
