"""The API's description: valid, complete, with examples that fit it, and what docs/ says of it is fresh."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from chalicelib.callers.models import Scope
from chalicelib.errors import MailgrantError
from chalicelib.providers.catalogue import Catalogue
from chalicelib.web.api.table import ROUTES, STATUSES
from chalicelib.web.openapi import document, examples, problems, schemas
from chalicelib.web.openapi.answers import ANSWERS
from chalicelib.web.openapi.operations import OPERATIONS, PATH
from cli import reference
from cli.reference_words import COMMANDS
from cli.tables import choices
from tests.contract import answer_validator, validator
from tests.unit.web_services import FakeServices, bearer, client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chalicelib.web.api.table import ApiView
    from chalicelib.web.openapi.operations import Operation

ROUTE = pytest.mark.parametrize(
    ("method", "path", "view"), ROUTES, ids=[f"{method} {path}" for method, path, _ in ROUTES]
)


def described(method: str, path: str) -> dict[str, Any]:
    """The operation as it is described."""
    operation: dict[str, Any] = document()["paths"][path][method.lower()]
    return operation


def every(kind: type[MailgrantError]) -> Iterator[type[MailgrantError]]:
    """A class of errors and all below it."""
    yield kind
    for below in kind.__subclasses__():
        yield from every(below)


def test_it_is_openapi_3_1() -> None:
    found = json.loads(json.dumps(document()))

    assert list(OpenAPIV31SpecValidator(found).iter_errors()) == []
    assert found["openapi"] == "3.1.0"


def test_every_route_is_described_and_nothing_else() -> None:
    operations = [
        (method.upper(), path)
        for path, item in document()["paths"].items()
        for method in item
        if method != "servers"
    ]

    assert sorted(operations) == sorted(
        [*((method, path) for method, path, _ in ROUTES), ("GET", "/healthz")]
    )
    assert OPERATIONS.keys() == ANSWERS.keys() == {view for _, _, view in ROUTES}
    assert {view for view, known in OPERATIONS.items() if known.body} == examples.REQUESTS.keys()
    assert COMMANDS.keys() == OPERATIONS.keys()


@ROUTE
def test_its_examples_fit_it(method: str, path: str, view: ApiView) -> None:
    """Requests fit the type that reads them, answers the type that is answered."""
    operation = described(method, path)
    status = str(STATUSES.get(view, 200))
    content = operation["responses"][status]["content"]["application/json"]

    assert list(answer_validator(operation["operationId"], status).iter_errors(content["example"])) == []
    if body := operation.get("requestBody"):
        asked = body["content"]["application/json"]
        for example in asked["examples"].values():
            assert list(validator(asked["schema"]).iter_errors(example["value"])) == []
    for name, parameter in PATH.items():
        assert list(validator(parameter.schema).iter_errors(examples.PATH[name])) == []


def test_everything_is_explained() -> None:
    """Each operation, parameter and type says what it is."""
    found = document()
    operations = [one for item in found["paths"].values() for one in item.values() if isinstance(one, dict)]

    assert all(one["summary"] for one in operations)
    assert all(one["description"] for known in operations for one in known.get("parameters", []))
    assert all(one.get("description") for one in found["components"]["schemas"].values())


def test_every_choice_is_explained_on_the_page() -> None:
    names = [name for name, schema in schemas.components().items() if "enum" in schema]

    assert len(names) > 5
    for name in names:
        said = re.findall(r"^\| `(\S+)` \| (.*) \|$", choices(name), re.MULTILINE)
        assert sorted(value for value, _ in said) == sorted(schemas.components()[name]["enum"])
        assert all(meaning for _, meaning in said), name


def test_a_field_that_holds_an_id_or_a_time_says_so() -> None:
    """By its name: ids have a pattern, times a format, addresses of the provider a list of choices."""
    shown = schemas.components()

    for name in ("Account", "Connector", "Message", "DeletedAccount", "DeletedConnector", "ConnectLink"):
        properties = shown[name]["properties"]
        assert properties["id"]["pattern"].startswith("^")
        for field, schema in properties.items():
            if re.search(r"_(at|until)$", field):
                kinds = [schema, *schema.get("anyOf", [])]
                assert "date-time" in [one.get("format") for one in kinds], (name, field)
    for name in ("Connector", "NewConnector"):
        assert set(shown[name]["properties"]["provider"]["enum"]) == set(Catalogue())


def test_every_code_has_its_status_in_the_documentation() -> None:
    """docs/errors.md begins each code with its statuses."""
    text = reference.ERRORS.read_text()

    for code, statuses in problems.PROBLEMS.items():
        found = re.search(rf"^### {code.replace('_', '-')}\n\n([^.]+)\.", text, re.MULTILINE)
        assert found is not None, code
        assert sorted(map(int, re.findall(r"\b\d{3}\b", found[1]))) == sorted(statuses), code


def test_every_class_of_errors_is_described_with_its_status() -> None:
    of_classes = {kind.code: kind.status for kind in every(MailgrantError) if kind is not MailgrantError}
    never = {"method_not_allowed", "unauthenticated"}  # API Gateway answers; 401 always says what is missing

    for code in of_classes.keys() - never:
        assert of_classes[code] in problems.PROBLEMS[code]


@pytest.mark.parametrize("given", Scope)
@ROUTE
def test_a_scope_is_needed_where_it_is_described(method: str, path: str, view: ApiView, given: Scope) -> None:
    """A caller with another scope is told so; one with this scope, or with admin, is not."""
    services = FakeServices()
    services.connected_account()
    known = OPERATIONS[view]
    url = "/v1" + path.replace("{account}", "sales").replace(
        "{connector}", next(iter(services.laid.connectors))
    )
    body = json.dumps(next(iter(examples.REQUESTS.get(view, {"": {}}).values()))).encode()

    answer = client(services).http.request(
        method, re.sub(r"{\w+}", "x", url), headers=bearer(services.key(given)), body=body
    )

    refused = b"scope_missing" in answer.body
    assert refused is (known.scope is not None and given not in {known.scope, Scope.ADMIN}) or checked_inside(
        known
    )


def checked_inside(known: Operation) -> bool:
    """Whether the service behind a view asks for the scope, which stands for itself here."""
    return bool({"message_not_found"} & set(known.errors))


def test_codes_under_a_status_are_those_of_the_operation() -> None:
    """Another code than the described ones does not pass."""
    judge = answer_validator("callers.whoami", "403")
    error = {"code": "unknown_caller", "message": "m", "fix": "f", "docs": "d"}

    assert judge.is_valid({"error": error})
    assert not judge.is_valid({"error": {**error, "code": "all_accounts_needed"}})
    assert not judge.is_valid({"error": {**error, "surprise": 1}})


def test_uh7_what_is_read_has_no_default_and_no_choice_of_types_as_a_whole() -> None:
    """Generators of clients make of a default a field that is always there, and of the choice no type."""
    read = {known.body.__name__ for known in OPERATIONS.values() if known.body is not None}

    for name in read:
        schema = schemas.components()[name]
        assert not {"anyOf", "oneOf", "allOf"} & schema.keys(), name
        assert not [field for field, one in schema["properties"].items() if "default" in one], name
    expires_in = schemas.components()["SendRequest"]["properties"]["expires_in"]
    assert expires_in["description"].endswith("`86400` where it is left out.")


def test_uh7_every_refusal_is_of_the_one_type() -> None:
    operations = [one for item in document()["paths"].values() for one in item.values() if "responses" in one]
    answers = [
        answer
        for responses in [document()["components"]["responses"], *(one["responses"] for one in operations)]
        for status, answer in responses.items()
        if status >= "400" and "$ref" not in answer
    ]

    assert len(answers) > 50
    for answer in answers:
        assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Error"}


def test_uh7_a_message_needs_a_recipient_in_the_schema_too() -> None:
    judge = validator({"$ref": "#/components/schemas/SendRequest"})

    assert judge.is_valid({"account": "a", "bcc": ["b@example.com"]})
    assert judge.is_valid({"account": "a", "raw": "QQ=="})
    assert not judge.is_valid({"account": "a", "to": []})
    assert not judge.is_valid({"account": "a", "raw": "QQ==", "text": "x"})


def test_the_description_is_not_read_before_it_is_asked_for() -> None:
    """It would slow down every cold start of the API."""
    script = "import sys, app, chalicelib.web.routes; print('chalicelib.web.openapi' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"


def test_the_page_of_the_reference_is_fresh() -> None:
    assert reference.PAGE.read_text() == reference.page(), "run: make reference"


def test_the_schema_of_a_message_is_fresh() -> None:
    assert reference.MESSAGE.read_text() == reference.message_schema(), "run: make reference"
