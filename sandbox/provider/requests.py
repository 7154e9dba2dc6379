"""Requests to the OAuth endpoints, in the shape that Authlib reads."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, cast

from authlib.oauth2 import OAuth2Request
from authlib.oauth2.rfc6749 import OAuth2Payload
from authlib.oauth2.rfc6749.util import extract_basic_authorization
from werkzeug.datastructures import CombinedMultiDict, Headers, MultiDict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.provider.models import Code, Grant, RefreshToken

Values = MultiDict[str, str]


class Payload(OAuth2Payload):
    """The parameters of a request, from its query and its form."""

    def __init__(self, values: CombinedMultiDict[str, str]) -> None:
        self._values = values

    @property
    def data(self) -> dict[str, str]:
        """The first value of each parameter."""
        return self._values.to_dict()

    @property
    def datalist(self) -> dict[str, list[str]]:
        """All values of each parameter."""
        return defaultdict(list, self._values.to_dict(flat=False))


class ProviderRequest(OAuth2Request):
    """One request to an authorization or token endpoint.

    ``tenant`` is the path's, empty at Google. ``consent_shown`` is set when the person was asked just now.
    """

    payload: Payload

    def __init__(
        self, method: str, uri: str, query: Values, form: Values, headers: Headers, tenant: str
    ) -> None:
        super().__init__(method, uri, headers=cast("Mapping[str, str]", headers))
        self._query = query
        self._form = form
        self.payload = Payload(CombinedMultiDict([query, form]))
        self.tenant = tenant
        self.consent_shown = False
        self.own_grant: Grant | None = None
        self.issued_access: int | None = None
        self.issued_refresh: int | None = None

    @property
    def args(self) -> dict[str, str | None]:
        """The query's parameters."""
        return dict(self._query.to_dict())

    @property
    def form(self) -> dict[str, str]:
        """The form's parameters."""
        return self._form.to_dict()

    @property
    def parent(self) -> Code | RefreshToken | Grant:
        """What a token request presented, once its grant has found it, or what needs no person."""
        return self.own_grant or cast("Code | RefreshToken", self.authorization_code or self.refresh_token)

    @property
    def basic_credentials(self) -> tuple[str | None, str | None]:
        """The client id and secret of an Authorization header with the Basic scheme."""
        return extract_basic_authorization(cast("dict[str, str]", self.headers))

    @property
    def correlation_id(self) -> str:
        """The id that msal gives a request, or nothing."""
        return (self.headers or {}).get("client-request-id", "")
