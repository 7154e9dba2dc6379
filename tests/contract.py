"""Whether answers are what the API's description says: their status, and the shape of their JSON."""

from __future__ import annotations

import copy
import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import jsonschema_rs

from chalicelib.web.openapi import document
from sandbox.api import Api

if TYPE_CHECKING:
    from collections.abc import Mapping

    import requests

_PREFIX = re.compile(r"^(/v1|/iam/v1)(?=/)")


def operation_of(method: str, url: str) -> dict[str, Any] | None:
    """The operation that a request reaches, or None for what is not described."""
    path = _PREFIX.sub("", urlsplit(url).path)
    if path == urlsplit(url).path:
        return None
    found = [one for one in document()["paths"] if _matches(one, path)]
    literal = min(found, key=lambda one: one.count("{"), default=None)
    operation: dict[str, Any] | None = document()["paths"].get(literal, {}).get(method.lower())
    return operation


def judge(method: str, url: str, status: int, headers: Mapping[str, Any], body: bytes) -> None:
    """Fails for an answer whose status, type or JSON is not described; lets other paths pass."""
    operation = operation_of(method, url)
    if operation is None:
        return
    asked = f"{method} {url}: {status} {body.decode()[:2_000]}"
    assert str(status) in operation["responses"], f"not a status of {operation['operationId']}: {asked}"
    types = [value for name, value in headers.items() if name.lower() == "content-type"]
    assert "application/json" in str(types), asked
    errors = [
        f"{'/'.join(map(str, error.instance_path))}: {error.message}"
        for error in answer_validator(operation["operationId"], str(status)).iter_errors(json.loads(body))
    ]
    assert not errors, f"not as described: {errors} in {asked}"


class JudgedApi(Api):
    """The sandbox's client of the API, whose answers are judged."""

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """As Api.request."""
        answer = super().request(method, path, **options)
        judge(method, path, answer.status_code, answer.headers, answer.content)
        return answer


@cache
def answer_validator(operation: str, status: str) -> jsonschema_rs.Draft202012Validator:
    """Judges answers of an operation with that status; a field that is not described is an error too."""
    described = _closed()
    (response,) = (
        one["responses"][status]
        for path in described["paths"].values()
        for one in path.values()
        if isinstance(one, dict) and one["operationId"] == operation
    )
    response = described["components"]["responses"][status] if "$ref" in response else response
    return validator(with_codes(response)["content"]["application/json"]["schema"])


def with_codes(response: dict[str, Any]) -> dict[str, Any]:
    """A described answer whose schema says what stands beside it: the codes with which it refuses."""
    if "x-codes" not in response:
        return response
    content = response["content"]["application/json"]
    codes = {"properties": {"error": {"properties": {"code": {"enum": response["x-codes"]}}}}}
    return {**response, "content": {"application/json": {"schema": {"allOf": [content["schema"], codes]}}}}


def validator(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """Judges by a schema of the description, whose records have no further fields."""
    schema = {**schema, "components": _closed()["components"]}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


@cache
def _closed() -> dict[str, Any]:
    """The description with records that have no further fields: published ones may grow."""
    described = copy.deepcopy(document())
    for schema in described["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return described


def _matches(template: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path) is not None
