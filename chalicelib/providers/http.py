"""HTTPS to providers: what is no answer to the question becomes a Diagnosed.

Everything that is not a 200 with a JSON object does so here, before msal or google-auth see it: both would
otherwise retry or cache by themselves, and both raise their errors in several shapes.
"""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from chalicelib import https
from chalicelib.diagnosis import Diagnosis, DiagnosisClass
from chalicelib.errors import Diagnosed, InvalidInput, Unavailable
from chalicelib.network import Trust
from chalicelib.providers.replies import cleaned, diagnose, transient

if TYPE_CHECKING:
    from collections.abc import Mapping

TOTAL_TIMEOUT = 15.0
"""Seconds after which an answer that still trickles in is given up."""
FORM = "application/x-www-form-urlencoded"
USUAL = Trust()
"""The usual authorities, and hosts that no user has named."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A 200 with a JSON object. It may hold tokens, so its repr shows nothing of it."""

    values: dict[str, Any] = field(repr=False)
    text: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


class ProviderHttp:
    """One provider's HTTPS. Make one for each call: nothing is kept from one call to the next."""

    def __init__(self, provider: str, trust: Trust = USUAL) -> None:
        self._provider = provider
        self._trust = trust

    def post(
        self, url: str, data: Mapping[str, str] | bytes, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """One POST of a form. Raises Diagnosed for anything but a 200 with a JSON object."""
        body = data if isinstance(data, bytes) else urlencode(data)
        return self._call("POST", url, body, {"Content-Type": FORM, **(headers or {})})

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Reply:
        """One GET. Raises Diagnosed for anything but a 200 with a JSON object."""
        return self._call("GET", url, None, headers or {})

    def _call(self, method: str, url: str, body: bytes | str | None, headers: Mapping[str, str]) -> Reply:
        question = https.Question(method, url, headers, body)
        try:
            answer = https.ask(question, self._trust, seconds=TOTAL_TIMEOUT)
        except TimeoutError as error:
            raise Diagnosed(transient("provider_too_slow", "The provider took too long.")) from error
        except ssl.SSLCertVerificationError as error:
            raise Diagnosed(_untrusted(error)) from error
        except OSError as error:
            why = type(error).__name__
            raise Diagnosed(
                transient("provider_unreachable", "The provider did not answer.", text=why)
            ) from error
        except https.AnswerTooLarge as error:
            message = "The provider's answer was too large to be one."
            raise Diagnosed(transient("answer_too_large", message)) from error
        except Unavailable as error:
            raise Diagnosed(transient("dns_failed", error.message)) from error
        except InvalidInput as error:
            code, message = error.error_code, error.message
            raise Diagnosed(Diagnosis(DiagnosisClass.ADMIN, code, message, error.fix)) from error
        return self._read(answer)

    def _read(self, answer: https.Answer) -> Reply:
        if answer.is_busy:
            raise Diagnosed(_busy(answer))
        if answer.redirects_to is not None:
            raise Diagnosed(_redirected(answer.redirects_to))
        try:
            # As of RFC 7009 only the status counts. A byte order mark is none of JSON's, and is passed over.
            values = json.loads(answer.text.removeprefix("\ufeff")) if answer.text else {}
        except (ValueError, RecursionError) as error:
            raise Diagnosed(_not_json(answer)) from error
        if not isinstance(values, dict):
            raise Diagnosed(_not_json(answer))
        # Some providers refuse with 200.
        is_refusal = bool(values.get("error")) and "access_token" not in values
        if not answer.succeeds or is_refusal:
            raise Diagnosed(diagnose(self._provider, values))
        return Reply(values, answer.text, answer.headers)


def _busy(answer: https.Answer) -> Diagnosis:
    message = (
        "The provider limits our requests." if answer.is_limited else "The provider has a failure of its own."
    )
    return transient(f"http_{answer.status}", message, retry_after=answer.retry_after)


def _redirected(address: str) -> Diagnosis:
    """Secrets follow no redirect, and so nothing does."""
    parts = urlsplit(address)
    shown = cleaned(f"{parts.scheme}://{parts.hostname}{parts.path}") if parts.hostname else "another address"
    return Diagnosis(
        DiagnosisClass.ADMIN,
        "redirected",
        f"The address answers with a redirect to {shown}, which is not followed.",
        "Name that address in the connector, if it is the provider's own.",
    )


def _untrusted(error: ssl.SSLCertVerificationError) -> Diagnosis:
    """Why the certificate is not believed, in OpenSSL's words."""
    return Diagnosis(
        DiagnosisClass.ADMIN,
        "tls_certificate",
        f"The provider's certificate is not valid: {cleaned(error.verify_message)}.",
        "Where its authority is your own, save that in the connector (the fact extra_ca, --extra-ca)."
        " Else the provider has to mend its certificate, or the address is a wrong one.",
    )


def _not_json(answer: https.Answer) -> Diagnosis:
    return transient("not_json", f"The provider answered {answer.status} with something that is not JSON.")
