"""Let each process handle only one large request at a time, such as the upload of a file."""

from __future__ import annotations

from flask import g, request

from webapp.clouds.outgoing import memory
from webapp.transfer.uploads import LARGE_BYTES
from webapp.web.services import services


def allow(person_id: str, max_bytes: int) -> None:
    """Allow a body of up to `max_bytes` in the current request.

    If the body of a POST may be larger than LARGE_BYTES, receive the whole body. Then wait, at most
    a few seconds, until no other large upload is being processed (`webapp.transfer.uploads`). Call
    this function before anything reads the body, and call `end` after the request. Raises
    TooManyUploads, and RequestEntityTooLarge if the body is larger than `max_bytes`.
    """
    g.allows_large_body = True
    request.max_content_length = max_bytes
    request.max_form_memory_size = max_bytes
    size = request.content_length
    if request.method == "POST" and (size is None or size > LARGE_BYTES):
        services().uploads.begin(person_id, request.get_data)
        g.uploading_person = person_id


def end(_error: BaseException | None) -> None:
    """Let the next large upload begin. Register this function with `teardown_request`."""
    person_id = g.pop("uploading_person", None)
    if person_id is not None:
        memory.release()
        services().uploads.end(person_id)
