"""The OpenAPI document: it is committed, valid, and changes only on purpose."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from flask import Flask

from tests.api import redocly
from tests.api.client import ApiClient, ClientFor
from webapp.api import openapi
from webapp.api.compatibility import breaking_changes
from webapp.api.operations import OPERATIONS
from webapp.api.problems import KINDS
from webapp.web.scope_paths import PREFIXES

LIST = "/account/{account}/images"


@pytest.fixture
def document() -> dict[str, Any]:
    return copy.deepcopy(openapi.document())


def test_the_committed_document_describes_the_operations(document: dict[str, Any]) -> None:
    committed = json.loads(openapi.FILE.read_text())
    assert breaking_changes(committed, document) == [], "This breaks clients."
    assert openapi.FILE.read_text() == openapi.to_text(document), "Run scripts/openapi.py."


def test_everybody_can_read_the_document(app: Flask) -> None:
    answer = ApiClient(app.test_client(), "").get("/openapi.json")
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert answer.json == json.loads(openapi.FILE.read_text())


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    described = [each for methods in document["paths"].values() for each in methods.values()]
    assert len(described) == sum(len(each.levels) or 1 for each in OPERATIONS)
    names = [each["operationId"] for each in described]
    assert len(names) == len(set(names))
    for each in described:
        assert each["summary"], each["operationId"]
        assert not each["summary"].endswith(".")
        assert any(status.startswith("2") for status in each["responses"])
        assert "500" in each["responses"]


def test_every_reference_leads_to_a_valid_schema(document: dict[str, Any]) -> None:
    def check(value: Any) -> None:
        if isinstance(value, dict):
            if "$ref" in value:
                found = document
                for part in value["$ref"].removeprefix("#/").split("/"):
                    found = found[part]
            for each in value.values():
                check(each)
        elif isinstance(value, list):
            for each in value:
                check(each)

    check(document)
    for name, schema in document["components"]["schemas"].items():
        assert "." not in name
        assert schema.get("description") or "enum" in schema, f"{name} has no docstring."
        jsonschema.Draft202012Validator.check_schema(schema)


def test_redocly_finds_nothing() -> None:
    assert redocly.findings(openapi.FILE) == []


def test_redocly_finds_mistakes(tmp_path: Path, document: dict[str, Any]) -> None:
    operation = document["paths"]["/scalr/images"]["get"]
    del operation["summary"], operation["responses"]["200"]
    file = tmp_path / "openapi.json"
    file.write_text(openapi.to_text(document))
    found = [each.partition(" ")[0] for each in redocly.findings(file)]
    assert sorted(found) == ["operation-2xx-response", "operation-summary"]


def _is_number(segment: str) -> bool:
    return segment.endswith("_id}")


def _can_be_equal(one: str, other: str) -> bool:
    """Return whether two segments of path templates can stand for the same segment of a URL."""
    if one[0] != "{" != other[0]:
        return one == other
    literal = other if one[0] == "{" else one
    return literal[0] == "{" or not (_is_number(one) or _is_number(other)) or literal.isdecimal()


def test_no_url_belongs_to_two_paths(document: dict[str, Any]) -> None:
    """If one of two paths has more fixed segments, it wins, as OpenAPI says."""
    ids = {
        each["name"]: each["schema"]["type"]
        for methods in document["paths"].values()
        for operation in methods.values()
        for each in operation["parameters"]
        if each.get("in") == "path"
    }
    for name, type_ in ids.items():
        assert (type_ == "integer") is name.endswith("_id")
    ambiguous = []
    for one, other in itertools.combinations(document["paths"], 2):
        pairs = list(zip(one.split("/")[1:], other.split("/")[1:], strict=False))
        if one.count("/") != other.count("/") or not all(_can_be_equal(*each) for each in pairs):
            continue
        winners = {a[0] == "{" for a, b in pairs if (a[0] == "{") is not (b[0] == "{")}
        if len(winners) > 1:
            ambiguous.append((one, other))
    assert ambiguous == []


def test_every_problem_has_its_status(document: dict[str, Any]) -> None:
    responses = document["components"]["responses"]
    for kind, (status, title) in KINDS.items():
        if status != 405:
            assert f"`{kind}`" in responses[str(status)]["description"]
        assert not title.endswith(".")


def test_answers_have_the_described_form(api_of: ClientFor, document: dict[str, Any]) -> None:
    schemas = {"$defs": document["components"]["schemas"]}
    text = json.dumps(schemas).replace("#/components/schemas/", "#/$defs/")

    def check(answer: Any, name: str) -> None:
        schema = {**json.loads(text), "$ref": f"#/$defs/{name}"}
        jsonschema.validate(answer, schema)

    api = api_of("account-viewer")
    check(api.get("/account/acme/images?total=true").json, "ImageList")
    check(api.get("/account/acme/images?q=clod:aws").json, "Problem")
    check(api.get("/nothing").json, "Problem")


def test_an_answer_202_is_the_job_or_contains_it(document: dict[str, Any]) -> None:
    deletion = document["paths"]["/account/{account}/images/{image_id}"]["delete"]
    bulk = document["paths"]["/account/{account}/images/bulk"]["post"]
    for operation, name in ((deletion, "JobReference"), (bulk, "BulkAnswer")):
        schema = operation["responses"]["202"]["content"]["application/json"]["schema"]
        assert schema == {"$ref": f"#/components/schemas/{name}"}


def test_required_parameters_are_marked(document: dict[str, Any]) -> None:
    path = "/account/{account}/clouds/{cloud}/locations"
    parameters = {each.get("name"): each for each in document["paths"][path]["get"]["parameters"]}
    assert parameters["credentials"]["required"]
    assert "required" not in document["paths"][LIST]["get"]["parameters"][1]


def _remove_operation(new: dict[str, Any]) -> None:
    del new["paths"][LIST]["get"]


def _remove_parameter(new: dict[str, Any]) -> None:
    del new["paths"][LIST]["get"]["parameters"][1]


def _require_parameter(new: dict[str, Any]) -> None:
    new["paths"][LIST]["get"]["parameters"][1]["required"] = True


def _add_required_parameter(new: dict[str, Any]) -> None:
    new["paths"][LIST]["get"]["parameters"].append(
        {"name": "new", "in": "query", "required": True, "schema": {"type": "string"}}
    )


def _limit_parameter(new: dict[str, Any]) -> None:
    for each in new["paths"][LIST]["get"]["parameters"]:
        if each.get("name") == "limit":
            each["schema"]["maximum"] = 100


def _remove_field(new: dict[str, Any]) -> None:
    del new["components"]["schemas"]["ImageSummary"]["properties"]["name"]


def _make_field_optional(new: dict[str, Any]) -> None:
    new["components"]["schemas"]["ImageSummary"]["required"].remove("name")


def _make_field_nullable(new: dict[str, Any]) -> None:
    field = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    new["components"]["schemas"]["ImageSummary"]["properties"]["name"] = field


def _remove_field_of_nullable(new: dict[str, Any]) -> None:
    del new["components"]["schemas"]["Job"]["properties"]["state"]


def _require_field(new: dict[str, Any]) -> None:
    new["components"]["schemas"]["Registration"]["required"].append("name")


def _remove_value(new: dict[str, Any]) -> None:
    new["components"]["schemas"]["LifeCycle"]["properties"]["status"]["enum"].remove("active")


def _limit_list(new: dict[str, Any]) -> None:
    new["components"]["schemas"]["Bulk"]["properties"]["images"]["maxItems"] = 10


def _limit_items(new: dict[str, Any]) -> None:
    new["components"]["schemas"]["TagChange"]["properties"]["add"]["items"]["maxLength"] = 5


def _limit_nullable(new: dict[str, Any]) -> None:
    properties = new["components"]["schemas"]["TagChange"]["properties"]
    properties["add"] = {"anyOf": [properties["add"] | {"maxItems": 1}, {"type": "null"}]}


def _require_field_of_item(new: dict[str, Any]) -> None:
    schemas = new["components"]["schemas"]
    schemas["Bulk"]["properties"]["images"]["items"] = {
        "type": ["integer", "object"],
        "required": ["id"],
    }


def _remove_field_of_item(new: dict[str, Any]) -> None:
    del new["components"]["schemas"]["Change"]["properties"]["field"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_remove_operation, "GET /account/{account}/images was removed."),
        (_remove_parameter, "no longer accepts the parameter"),
        (_require_parameter, "now requires the parameter"),
        (_add_required_parameter, "now requires the parameter new"),
        (_limit_parameter, "accepts fewer values of the parameter limit"),
        (_remove_field, "no longer returns the field items"),
        (_make_field_optional, "can now leave out the field"),
        (_make_field_nullable, "returns other values of the field"),
        (_remove_field_of_nullable, "no longer returns the field job.state"),
        (_require_field, "now requires the field name"),
        (_remove_value, "accepts fewer values of the field status"),
        (_limit_list, "accepts fewer values of the field images"),
        (_limit_items, "accepts fewer values of the field add"),
        (_limit_nullable, "accepts fewer values of the field add"),
        (_require_field_of_item, "now requires the field images[].id"),
        (_remove_field_of_item, "no longer returns the field items[].changes[].field"),
    ],
)
def test_breaking_changes_are_found(
    document: dict[str, Any], change: Callable[[dict[str, Any]], None], words: str
) -> None:
    old = copy.deepcopy(document)
    change(document)
    assert any(words in each for each in breaking_changes(old, document))


def test_additions_break_nothing(document: dict[str, Any]) -> None:
    old = copy.deepcopy(document)
    schemas = document["components"]["schemas"]
    schemas["ImageSummary"]["properties"]["new"] = {"type": "string"}
    schemas["ImageSummary"]["required"].append("new")
    schemas["Registration"]["properties"]["new"] = {"type": "string", "default": ""}
    lists = {"type": ["string", "array"], "items": {"type": "string"}}
    schemas["Registration"]["properties"]["name"] = {"anyOf": [lists, {"type": "null"}]}
    document["paths"]["/new"] = document["paths"][LIST]
    document["paths"][LIST]["get"]["parameters"].append(
        {"name": "new", "in": "query", "schema": {"type": "string"}}
    )
    assert breaking_changes(old, document) == []


def test_the_levels_have_the_paths_of_the_pages(document: dict[str, Any]) -> None:
    for prefix in PREFIXES.values():
        path = prefix.replace("<", "{").replace(">", "}")
        assert f"{path}/images" in document["paths"]


def test_only_answers_with_a_url_of_the_record_document_its_header(
    document: dict[str, Any],
) -> None:
    account = "/account/{account}"
    for path, is_documented in (("/images", True), ("/views", False), ("/invitations", False)):
        created = document["paths"][account + path]["post"]["responses"]["201"]
        assert ("Location" in created.get("headers", {})) is is_documented
