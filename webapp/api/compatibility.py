"""Compare two OpenAPI documents, and find the changes that break clients of the older document."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]


def breaking_changes(old: Json, new: Json) -> list[str]:
    """Return a sentence for each difference that may break a client of `old`.

    A client may send everything that `old` accepts, and may read everything that `old` promises.
    The client must ignore unknown fields of responses.
    """
    return list(_operation_changes(old, new))


def _operation_changes(old: Json, new: Json) -> Iterator[str]:
    for path, methods in old["paths"].items():
        for method, before in methods.items():
            name = f"{method.upper()} {path}"
            after = new["paths"].get(path, {}).get(method)
            if after is None:
                yield f"{name} was removed."
                continue
            yield from _parameter_changes(name, _parameters(old, before), _parameters(new, after))
            yield from _body_changes(name, (old, before), (new, after))
            yield from _response_changes(name, (old, before), (new, after))


def _parameters(document: Json, operation: Json) -> dict[tuple[str, str], Json]:
    resolved = [_resolve(document, each) for each in operation["parameters"]]
    return {(each["in"], each["name"]): each for each in resolved}


def _parameter_changes(name: str, old: dict[Any, Json], new: dict[Any, Json]) -> Iterator[str]:
    for key, before in old.items():
        after = new.get(key)
        if after is None:
            yield f"{name} no longer accepts the parameter {key[1]}."
        elif after.get("required") and not before.get("required"):
            yield f"{name} now requires the parameter {key[1]}."
        elif _is_narrower(before["schema"], after["schema"]):
            yield f"{name} accepts fewer values of the parameter {key[1]}."
    for key in new.keys() - old.keys():
        if new[key].get("required"):
            yield f"{name} now requires the parameter {key[1]}."


def _body_changes(name: str, old: tuple[Json, Json], new: tuple[Json, Json]) -> Iterator[str]:
    before, after = _body(*old), _body(*new)
    if before is None and after is not None:
        yield f"{name} now requires a body."
    if before is None or after is None:
        return
    yield from _compare(_request_changes, name, "", before, after)


def _body(document: Json, operation: Json) -> Json | None:
    if "requestBody" not in operation:
        return None
    content = next(iter(operation["requestBody"]["content"].values()))
    return _expand(document, content["schema"])


def _request_changes(name: str, path: str, old: Json, new: Json) -> Iterator[str]:
    """Yield a sentence for each field that was removed, accepts fewer values or is now required."""
    after = new.get("properties", {})
    for field, before in old.get("properties", {}).items():
        label = f"{path}{field}"
        if field not in after:
            yield f"{name} no longer accepts the field {label}."
        elif _is_narrower(before, after[field]):
            yield f"{name} accepts fewer values of the field {label}."
        else:
            yield from _compare(_request_changes, name, label, before, after[field])
    for field in set(new.get("required", ())) - set(old.get("required", ())):
        yield f"{name} now requires the field {path}{field}."


def _response_changes(name: str, old: tuple[Json, Json], new: tuple[Json, Json]) -> Iterator[str]:
    for status, before in old[1]["responses"].items():
        if not status.startswith("2"):
            continue
        after = new[1]["responses"].get(status)
        if after is None:
            yield f"{name} no longer responds with the status {status}."
            continue
        for media_type, content in before.get("content", {}).items():
            new_content = after.get("content", {}).get(media_type)
            if new_content is None:
                yield f"{name} no longer responds with {media_type}."
                continue
            schema = _expand(old[0], content["schema"])
            new_schema = _expand(new[0], new_content["schema"])
            yield from _compare(_response_field_changes, name, "", schema, new_schema)


def _response_field_changes(name: str, path: str, old: Json, new: Json) -> Iterator[str]:
    """Yield a sentence for each field that responses may leave out, or that may have new values."""
    after = new.get("properties", {})
    for field, before in old.get("properties", {}).items():
        label = f"{path}{field}"
        if field not in after:
            yield f"{name} no longer returns the field {label}."
        elif field in old.get("required", ()) and field not in new.get("required", ()):
            yield f"{name} can now leave out the field {label}."
        elif _is_narrower(after[field], before):
            yield f"{name} returns other values of the field {label}."
        else:
            yield from _compare(_response_field_changes, name, label, before, after[field])


_CompareFields = Callable[[str, str, Json, Json], Iterator[str]]


def _compare(
    compare_fields: _CompareFields, name: str, label: str, old: Json, new: Json
) -> Iterator[str]:
    """Yield the sentences of `compare_fields` about an object, or about the objects in a list.

    `label` is the field that contains the object or list, or '' for the body. If `new` has several
    alternatives in its `anyOf`, each alternative of `old` is compared with the alternative of `new`
    that causes the fewest changes.
    """
    after_alternatives = _alternatives(new)
    for before in _alternatives(old):
        changes = (
            list(_compare_alternative(compare_fields, name, label, before, after))
            for after in after_alternatives
        )
        yield from min(changes, key=len)


def _compare_alternative(
    compare_fields: _CompareFields, name: str, label: str, old: Json, new: Json
) -> Iterator[str]:
    yield from compare_fields(name, f"{label}." if label else "", old, new)
    if "items" in old and "items" in new:
        yield from _compare(compare_fields, name, f"{label}[]", old["items"], new["items"])


def _alternatives(schema: Json) -> list[Json]:
    """Return those schemas in the `anyOf` of `schema` that describe an object or a list.

    If there are none, return `schema` itself.
    """
    alternatives = schema.get("anyOf", ())
    containers = [each for each in alternatives if {"properties", "items"} & each.keys()]
    return containers or [schema]


def _is_narrower(old: Json, new: Json) -> bool:
    """Return whether `new` may refuse a value that `old` accepts."""
    return any(
        all(_variant_is_narrower(before, after) for after in _variants(new))
        for before in _variants(old)
    )


def _variants(schema: Json) -> list[Json]:
    """Return a schema for each type that a value may have. The type None means any type."""
    variants = []
    for each in schema.get("anyOf", [schema]):
        kinds = each.get("type")
        variants += [
            {**each, "type": kind} for kind in (kinds if isinstance(kinds, list) else [kinds])
        ]
    return variants


def _variant_is_narrower(old: Json, new: Json) -> bool:
    if new["type"] not in {None, old["type"]}:
        return True
    values = new.get("enum")
    if values is not None and not set(old.get("enum", [object()])) <= set(values):
        return True
    if new["type"] == "array" and _is_narrower(old.get("items", {}), new.get("items", {})):
        return True
    return any(_is_tighter(old, new, *limits) for limits in _LIMITS)


_LIMITS = (
    ("minimum", 1),
    ("maximum", -1),
    ("minLength", 1),
    ("maxLength", -1),
    ("minItems", 1),
    ("maxItems", -1),
)
"""The keywords that limit a value, with the direction of stricter limits.

1 means that a larger limit is stricter, and -1 that a smaller limit is stricter.
"""


def _is_tighter(old: Json, new: Json, limit: str, sign: int) -> bool:
    if limit not in new:
        return False
    return limit not in old or (new[limit] - old[limit]) * sign > 0


def _resolve(document: Json, value: Json) -> Json:
    reference = value.get("$ref")
    if reference is None:
        return value
    node: Any = document
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return dict(node)


def _expand(document: Json, schema: Json, depth: int = 6) -> Json:
    """Return the schema, with references replaced by their schemas down to `depth` levels."""
    resolved = dict(_resolve(document, schema))
    if depth and "properties" in resolved:
        resolved["properties"] = {
            name: _expand(document, each, depth - 1)
            for name, each in resolved["properties"].items()
        }
    if depth and isinstance(resolved.get("items"), dict):
        resolved["items"] = _expand(document, resolved["items"], depth - 1)
    if depth and "anyOf" in resolved:
        resolved["anyOf"] = [_expand(document, each, depth - 1) for each in resolved["anyOf"]]
    return resolved
