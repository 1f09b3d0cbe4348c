"""Declare the operations of the API, parse their requests, and send their responses.

An operation is one method at one path. Its view is a function with a decorator:

    @operation("GET /images/<int:image_id>", tag="Images", right=Right.VIEW_IMAGES)
    def get_image(image_id: int) -> Answer[Image]:

The types of the view's parameters describe the request, and the type of its result describes the
response. The parameter `query` gets the query parameters of the URL, and the parameter `body` gets
the JSON of the request. `Operation` explains the parameter `prepared`. All other parameters get
values from the path. `webapp.api.openapi` describes the operations from the same types.

msgspec parses and checks the JSON. It accepts only values of the declared types. It also refuses
unknown fields, so JSON cannot be nested deeper than the types. Only the request for an OAuth token
may have unknown fields.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Annotated, Any, Generic, TypeVar, get_args, get_type_hints

import msgspec
from flask import Response, g, request

from models import LARGEST_ID, Level
from webapp.access import Right
from webapp.api import idempotency, preconditions
from webapp.api.problems import LONGEST_ECHO, ApiProblem, FieldError
from webapp.clouds.messages import shorten
from webapp.values.text import is_encodable
from webapp.web import downloads, large_bodies

T = TypeVar("T")
View = Callable[..., "Answer[Any]"]

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MERGE_PATCH = "application/merge-patch+json"
"""The media type of a PATCH (RFC 7396). A PATCH may have the media type JSON instead."""
RecordId = Annotated[int, msgspec.Meta(ge=1, le=LARGEST_ID)]
"""The ID of a record in a query parameter or a body. The database refuses IDs above LARGEST_ID."""
EVERY_LEVEL = tuple(Level)
WITH_LEVELS_BELOW = (Level.SCALR, Level.ACCOUNT)
"""Every level except environments, which have no scopes below them."""
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True)
class Answer(Generic[T]):
    """The result of a view, from which `send` creates the response.

    If `revision` is not None, it is the revision of the record in the body. Then the response has
    an ETag, and the response to a GET with this ETag in `If-None-Match` has the status 304.
    """

    body: T
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    revision: int | None = None


@dataclass(frozen=True)
class Download:
    """The body of a response that is sent in parts, as a file with a name."""

    texts: Iterator[str]
    name: str
    media_type: str


@dataclass(frozen=True)
class Operation:
    """One operation.

    `levels` are the levels of the scopes at which the operation exists. The tuple is empty if the
    path contains no scope. `statuses` are the statuses of successful responses. `problems` are the
    kinds of problems that this operation can return in addition to the usual ones. `if_match` says
    whether the header If-Match is 'required', 'optional' or '' (ignored). `is_public` is true if no
    token is necessary.

    `media_type` is the media type of the response. `max_bytes` is the maximum size of the body of
    the request, or 0 for the usual maximum.

    `prepare` is a function with the parameters of the view, except `prepared`. It does the work
    that comes before the transaction of the view, such as calls to clouds. The view gets the result
    of this function as the parameter `prepared`.

    `atomic` is true if the view may run in a transaction. See `webapp.api.idempotency`.
    `has_location` is true if the responses 201 and 202 have the header Location.
    `is_form` is true if the body of the request can also be form-encoded, as OAuth requires.
    """

    view: View
    method: str
    path: str
    tag: str
    right: Right | None
    levels: tuple[Level, ...]
    statuses: tuple[int, ...]
    problems: tuple[str, ...]
    if_match: str
    is_public: bool
    media_type: str
    max_bytes: int
    prepare: Callable[..., Any] | None
    has_location: bool
    is_form: bool
    atomic: bool

    @property
    def name(self) -> str:
        """The name of the view, for example `get_image`."""
        return self.view.__name__

    @cached_property
    def types(self) -> dict[str, Any]:
        """The types of the parameters, by name."""
        hints = get_type_hints(self.view, include_extras=True)
        return {name: hints[name] for name in inspect.signature(self.view).parameters}

    @cached_property
    def answer_type(self) -> Any:
        """The type of the body of the response, or NoneType if the response has no body."""
        return get_args(get_type_hints(self.view, include_extras=True)["return"])[0]

    @property
    def query_type(self) -> Any:
        return self.types.get("query")

    @property
    def body_type(self) -> Any:
        return self.types.get("body")

    @property
    def media_types(self) -> tuple[str, ...]:
        """The media types that the body of the request can have."""
        if self.is_form:
            return (FORM, JSON)
        return (MERGE_PATCH, JSON) if self.method == "PATCH" else (JSON,)

    @cached_property
    def _decoder(self) -> msgspec.json.Decoder[Any]:
        return msgspec.json.Decoder(self.body_type)

    def handle(self, values: dict[str, Any]) -> Response:
        """Return the response to the current request.

        `values` are the values in the path, without the scope.
        """
        if self.right is not None:
            g.actor.require(self.right, g.scope)
        if self.if_match == "required":
            preconditions.require_match()
        if self.max_bytes:
            large_bodies.allow(str(g.actor.person.id), self.max_bytes)
        # If the view has no query parameters, `_parse_query` refuses a URL that has some.
        query = _parse_query(self.query_type)
        if self.query_type is not None:
            values["query"] = query
        if self.body_type is not None:
            values["body"] = self._parse_body()
        has_key = idempotency.HEADER in request.headers and not self.is_public
        if self.method == "POST" and has_key:
            return idempotency.answer_once(
                partial(self._prepare, values), partial(self._answer, values), atomic=self.atomic
            )
        return self._answer(values, self._prepare(values))

    def _prepare(self, values: dict[str, Any]) -> Any:
        return self.prepare(**values) if self.prepare else None

    def _answer(self, values: dict[str, Any], prepared: Any) -> Response:
        extra_values = {"prepared": prepared} if self.prepare else {}
        return send(self.view(**values, **extra_values))

    def _parse_body(self) -> Any:
        if request.mimetype not in self.media_types:
            raise ApiProblem("unsupported-media-type")
        try:
            if self.is_form and request.mimetype == FORM:
                body = msgspec.convert(request.form.to_dict(), self.body_type)
            else:
                body = self._decoder.decode(request.get_data())
        except msgspec.ValidationError as error:
            raise _invalid(error, "invalid-values") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ApiProblem("invalid-request", f"The body isn’t valid JSON: {error}.") from error
        if not _is_storable(body):
            raise ApiProblem("invalid-request", "A text contains a character that is not allowed.")
        return body


OPERATIONS: list[Operation] = []
"""All operations. Each module of views adds its own."""


def operation(  # noqa: PLR0913  one for each field of Operation
    route: str,
    *,
    tag: str,
    right: Right | None = None,
    levels: tuple[Level, ...] = EVERY_LEVEL,
    statuses: tuple[int, ...] = (200,),
    problems: tuple[str, ...] = (),
    if_match: str = "",
    is_public: bool = False,
    media_type: str = JSON,
    max_bytes: int = 0,
    prepare: Callable[..., Any] | None = None,
    has_location: bool = True,
    is_form: bool = False,
    atomic: bool = True,
) -> Callable[[View], View]:
    """Return a decorator that adds a view to OPERATIONS. See `Operation` for the parameters.

    `route` is the method and the path, for example `GET /images`. The view is called only if the
    token has `right` at the scope. Otherwise, the response is 403.
    """

    method, _, path = route.partition(" ")

    def decorate(view: View) -> View:
        OPERATIONS.append(
            Operation(
                view=view,
                method=method,
                path=path,
                tag=tag,
                right=right,
                levels=levels,
                statuses=statuses,
                problems=problems,
                if_match=if_match,
                is_public=is_public,
                media_type=media_type,
                max_bytes=max_bytes,
                prepare=prepare,
                has_location=has_location,
                is_form=is_form,
                atomic=atomic,
            )
        )
        return view

    return decorate


def send(answer: Answer[Any]) -> Response:
    """Return the response for the result of a view."""
    if answer.revision is None:
        response = _response(answer)
        response.headers.extend(dict(answer.headers))
        return response
    etag = preconditions.etag_of(answer.revision)
    is_read = request.method in {"GET", "HEAD"}
    is_known = is_read and preconditions.contains_revision(
        request.if_none_match, answer.revision, weakly=True
    )
    response = Response(status=304) if is_known else _response(answer)
    response.headers.extend(dict(answer.headers))
    response.set_etag(etag)
    # The client may store the record, but has to ask each time whether it is still current.
    response.headers["Cache-Control"] = "private, no-cache"
    response.vary.add("Authorization")
    return response


def _response(answer: Answer[Any]) -> Response:
    if answer.body is None:
        return Response(status=answer.status)
    if isinstance(answer.body, Download):
        return downloads.stream(answer.body.texts, answer.body.name, answer.body.media_type)
    return Response(_encoder.encode(answer.body), answer.status, mimetype=JSON)


def _parse_query(query_type: Any) -> Any:
    """Return the query parameters as an object of the type `query_type`. Raises ApiProblem."""
    values: dict[str, str] = {}
    for name, texts in request.args.lists():
        if len(texts) > 1:
            message = "Send this parameter only once."
            errors = [FieldError(shorten(name, LONGEST_ECHO), message)]
            raise ApiProblem("invalid-request", message, errors)
        values[name] = texts[0]
    fields = msgspec.structs.fields(query_type) if query_type else ()
    field_names = [each.encode_name for each in fields]
    if unknown_names := [shorten(name, LONGEST_ECHO) for name in values if name not in field_names]:
        hint = f" Use one of: {', '.join(field_names)}." if field_names else ""
        message = f"This parameter doesn’t exist.{hint}"
        errors = [FieldError(name, message) for name in unknown_names]
        raise ApiProblem("invalid-request", f"“{unknown_names[0]}”: {message}", errors)
    if query_type is None:
        return None
    try:
        return msgspec.convert(values, query_type, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(error, "invalid-request") from error


def _invalid(error: msgspec.ValidationError, kind: str) -> ApiProblem:
    """Return the problem for a value that does not have the declared type.

    msgspec's message can contain an unknown value or field of the request, in quotes.
    """
    message, _, path = str(error).partition(" - at `")
    name = path.removeprefix("key` in `").rstrip("`").lstrip("$.")
    message = f"{_ECHO.sub(_shorten_echo, message)}."
    return ApiProblem(
        kind, f"“{name}”: {message}" if name else message, [FieldError(name, message)]
    )


_ECHO = re.compile("(unknown field `|enum value ')(.*)([`'])", re.DOTALL)
"""Matches the part of a msgspec message that quotes the request, and the text around this part."""


def _shorten_echo(match: re.Match[str]) -> str:
    return f"{match[1]}{shorten(match[2], LONGEST_ECHO)}{match[3]}"


def _is_storable(value: Any) -> bool:
    """Return whether all texts in a parsed body can be stored. See `is_encodable`."""
    if isinstance(value, str):
        return is_encodable(value)
    if isinstance(value, msgspec.Struct):
        return all(_is_storable(getattr(value, name)) for name in value.__struct_fields__)
    if isinstance(value, dict):
        return all(map(_is_storable, (*value, *value.values())))
    return not isinstance(value, list) or all(map(_is_storable, value))
