"""Describe the API as an OpenAPI 3.1 document, from the types of the operations.

`webapp/api/openapi.json` is the committed document, which the API serves. `scripts/openapi.py`
writes it, and a test fails if it differs from the operations.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import msgspec

from models import LARGEST_ID, Level
from webapp.api import operations
from webapp.api.job_documents import JobReference
from webapp.api.operations import JSON, OPERATIONS, Answer, Download, Operation
from webapp.api.problems import KINDS, MEDIA_TYPE, Problem
from webapp.api.urls import ROOT
from webapp.web.scope_paths import PREFIXES

FILE = Path(__file__).with_name("openapi.json")
VERSION = "1.0"
TAGS = {
    "Audit log": "Who changed which record, and when.",
    "Clouds": "The supported clouds, their locations, and the images in them.",
    "Credentials": "The credentials with which the registry reads clouds. Secrets are write-only.",
    "Images": "The images that a scope owns or inherits.",
    "Imports": "Register and change many images from a file.",
    "Jobs": "Bulk actions, and their progress.",
    "Members": "The people with a role at a scope, invitations, and the rules that give roles.",
    "OpenAPI": "The description of this API.",
    "Overview": "The number of images by status, cloud and scope.",
    "People": "Everybody with a user account.",
    "Scopes": "The accounts and environments of the registry.",
    "Tokens": "The tokens of this API, and the rules for exchanging ID tokens for API tokens.",
    "Views": "Searches that were saved with a name.",
}
"""The description of each group of operations."""
_SCHEMAS = "#/components/schemas/{name}"
_PATH_VALUE = re.compile(r"<(?:(int):)?(\w+)>")
_REFUSED_BY_SERVER = ("url-too-long", "headers-too-large")
_COMMON_PROBLEMS = ("invalid-request", *_REFUSED_BY_SERVER, "internal-error", "unavailable")
_TOKEN_PROBLEMS = ("not-authenticated", "too-many-requests")
_BODY_PROBLEMS = ("too-large", "unsupported-media-type", "invalid-values", "refused")


@operations.operation("GET /openapi.json", tag="OpenAPI", levels=(), is_public=True)
def get_openapi() -> Answer[msgspec.Raw]:
    """Get the description of this API, as an OpenAPI document."""
    return Answer(committed_document())


@cache
def committed_document() -> msgspec.Raw:
    return msgspec.Raw(FILE.read_bytes())


def document() -> dict[str, Any]:
    """Return the OpenAPI document of all operations."""
    schemas = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for each in OPERATIONS:
        for level in each.levels or (None,):
            item = paths.setdefault(path_of(each, level), {})
            item[each.method.lower()] = _operation_object(each, level, schemas)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Image Registry API",
            "version": VERSION,
            "summary": "Manage the images of the registry from pipelines and scripts.",
            "description": "Every error is a problem document (RFC 9457).",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": ROOT}],
        "security": [{"token": []}, {"basic": []}],
        "tags": [
            {"name": name, "description": TAGS[name]}
            for name in dict.fromkeys(each.tag for each in OPERATIONS)
        ],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "parameters": _PARAMETERS,
            "headers": _HEADERS,
            "responses": _problem_responses(),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "The password is a token. The user name is ignored.",
                },
            },
        },
    }


def to_text(openapi: dict[str, Any]) -> str:
    """Return a document as the text of the committed file."""
    return json.dumps(openapi, ensure_ascii=False, indent=1) + "\n"


def path_of(operation: Operation, level: Level | None) -> str:
    """Return the path of an operation as an OpenAPI path template."""
    prefix = PREFIXES[level] if level else ""
    return _PATH_VALUE.sub(r"{\2}", prefix + operation.path)


_PARAMETERS: dict[str, Any] = {
    name: {
        "name": name,
        "in": "path",
        "required": True,
        "description": f"The {name} as in URLs, for example `{example}`.",
        "schema": {"type": "string", "pattern": "^[^/]+$"},
        "example": example,
    }
    for name, example in (("account", "acme"), ("environment", "production"))
} | {
    "If-Match": {
        "name": "If-Match",
        "in": "header",
        "required": True,
        "description": "The ETag that the record had when you read it.",
        "schema": {"type": "string"},
        "example": '"3"',
    },
    "If-Match-Optional": {
        "name": "If-Match",
        "in": "header",
        "description": "The ETag that the record had when you read it.",
        "schema": {"type": "string"},
        "example": '"3"',
    },
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The ETag of the version that the client has stored.",
        "schema": {"type": "string"},
        "example": '"3"',
    },
}
_HEADERS: dict[str, Any] = {
    "ETag": {"description": "Identifies the version of the record.", "schema": {"type": "string"}},
    "Link": {"description": "The next page (RFC 8288).", "schema": {"type": "string"}},
    "Location": {
        "description": "The URL of the new record or of the job.",
        "schema": {"type": "string"},
    },
}


def _schemas() -> dict[str, Any]:
    """Return the JSON Schemas of all request bodies and responses, by name."""
    types = [Problem]
    for each in OPERATIONS:
        types += [type_ for type_ in (each.body_type, *_answer_types(each)) if type_]
    _, components = msgspec.json.schema_components(types, ref_template=_SCHEMAS)
    return dict(sorted(components.items()))


def _answer_types(operation: Operation) -> list[Any]:
    """Return the response types that are documented as schemas."""
    members = get_args(operation.answer_type) or (operation.answer_type,)
    return [each for each in members if each not in {NoneType, msgspec.Raw, Download}]


def _operation_object(operation: Operation, level: Level | None, schemas: dict[str, Any]) -> Any:
    summary, _, text = (operation.view.__doc__ or "").partition("\n\n")
    result: dict[str, Any] = {
        "operationId": f"{level}_{operation.name}" if level else operation.name,
        "tags": [operation.tag],
        "summary": summary.strip().rstrip("."),
        "description": " ".join(text.split()),
        "parameters": list(_parameters(operation, level)),
        "responses": _responses(operation, schemas),
    }
    if not result["description"]:
        del result["description"]
    if operation.is_public:
        result["security"] = []
    if operation.body_type is not None:
        schema = _reference(operation.body_type)
        result["requestBody"] = {
            "required": True,
            "content": {name: {"schema": schema} for name in operation.media_types},
        }
    return result


def _parameters(operation: Operation, level: Level | None) -> Iterator[dict[str, Any]]:
    prefix = PREFIXES[level] if level else ""
    for _, name in _PATH_VALUE.findall(prefix):
        yield {"$ref": f"#/components/parameters/{name}"}
    for kind, name in _PATH_VALUE.findall(operation.path):
        schema: dict[str, Any] = {"type": "string"}
        if kind:
            schema = {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    if operation.query_type is not None:
        yield from _query_parameters(operation.query_type)
    if operation.if_match:
        suffix = "" if operation.if_match == "required" else "-Optional"
        yield {"$ref": f"#/components/parameters/If-Match{suffix}"}
    if operation.method == "GET" and _has_etag(operation):
        yield {"$ref": "#/components/parameters/If-None-Match"}


def _query_parameters(query_type: Any) -> Iterator[dict[str, Any]]:
    schema = msgspec.json.schema(query_type)
    fields = next(iter(schema["$defs"].values()))
    for name, field in fields["properties"].items():
        description = field.pop("description", "")
        parameter = {"name": name, "in": "query", "schema": field}
        if description:
            parameter["description"] = description
        if name in fields.get("required", ()):
            parameter["required"] = True
        yield parameter


def _has_etag(operation: Operation) -> bool:
    return any("revision" in each.__struct_fields__ for each in _answer_types(operation))


def _responses(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    responses = {str(each): _response(operation, each, schemas) for each in operation.statuses}
    if operation.method == "GET" and _has_etag(operation):
        responses["304"] = {"description": "The client has the current version."}
    for status in sorted({KINDS[kind][0] for kind in _problems(operation)}):
        responses[str(status)] = {"$ref": f"#/components/responses/{status}"}
    return responses


def _problem_responses() -> dict[str, Any]:
    """Return the response for each status of an error. The response names the kinds of problems.

    The status 405 means that the URL has no operation with the method of the request. So no
    operation returns this status, and it is left out.
    """
    by_status: dict[int, list[str]] = {}
    for kind, (status, _) in KINDS.items():
        if status != 405:
            by_status.setdefault(status, []).append(kind)
    content = {MEDIA_TYPE: {"schema": _reference(Problem)}}
    return {
        str(status): {
            "description": f"The problem {' or '.join(f'`{kind}`' for kind in kinds)}.",
            "content": content,
        }
        for status, kinds in by_status.items()
    }


def _problems(operation: Operation) -> Iterable[str]:
    """Yield the kinds of problems that an operation can return."""
    yield from _COMMON_PROBLEMS
    if not operation.is_public:
        yield from _TOKEN_PROBLEMS
    if operation.levels or "<" in operation.path:
        yield "not-found"
    if operation.right is not None:
        yield "forbidden"
    if operation.if_match == "required":
        yield "precondition-required"
    if operation.if_match:
        yield "precondition-failed"
    if operation.body_type is not None:
        yield from _BODY_PROBLEMS
    elif operation.method != "GET":
        yield "refused"
    yield from operation.problems


def _response(operation: Operation, status: int, schemas: dict[str, Any]) -> dict[str, Any]:
    if status == 204:
        return {"description": "Done."}
    if operation.answer_type is Download:
        content = {operation.media_type: {"schema": _download_schema(operation)}}
        return {"description": "The file.", "content": content}
    types = _answer_types(operation)
    starts_job = status == 202 and JobReference in types
    other_types = (each for each in types if each is not JobReference)
    type_ = JobReference if starts_job else next(other_types, None)
    if type_ is None:
        return {"description": "An OpenAPI document.", "content": {JSON: {"schema": {}}}}
    response: dict[str, Any] = {
        "description": schemas[type_.__name__].get("description", ""),
        "content": {JSON: {"schema": _reference(type_)}},
    }
    headers = []
    if "revision" in type_.__struct_fields__:
        headers.append("ETag")
    if status in {201, 202} and operation.has_location:
        headers.append("Location")
    if "next" in type_.__struct_fields__:
        headers.append("Link")
    if headers:
        response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
    return response


def _download_schema(operation: Operation) -> dict[str, Any]:
    if operation.media_type == JSON:
        return {"type": "array", "items": {"type": "object"}}
    return {"type": "string"}


def _reference(type_: Any) -> dict[str, str]:
    return {"$ref": _SCHEMAS.format(name=type_.__name__)}
