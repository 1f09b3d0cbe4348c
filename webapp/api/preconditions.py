"""Refuse changes by clients that have not read the latest revision (headers ETag and If-Match)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flask import request
from werkzeug.datastructures import ETags

from models import EditedTable, transaction
from webapp.api.problems import ApiProblem
from webapp.revisions.conflicts import lock

COMPRESSIONS = ("zstd", "br", "gzip", "deflate")
"""The compressions of responses. Flask-Compress adds them to entity tags."""


def etag_of(revision: int) -> str:
    """Return the entity tag of a record at a revision, without quotes."""
    return str(revision)


def contains_revision(etags: ETags, revision: int, *, weakly: bool = False) -> bool:
    """Return whether a header of the request contains the entity tag of a revision.

    In a compressed response, the tag also contains the compression, as in “3:gzip”.
    """
    plain = etag_of(revision)
    contains = etags.contains_weak if weakly else etags.contains
    return any(map(contains, (plain, *(f"{plain}:{each}" for each in COMPRESSIONS))))


def require_match() -> None:
    """Raise ApiProblem (428) unless the request has the header If-Match."""
    if "If-Match" not in request.headers:
        raise ApiProblem(
            "precondition-required",
            "Send the record’s ETag in the If-Match header, so that you don’t overwrite somebody "
            "else’s change.",
        )


@contextmanager
def matching(record: EditedTable) -> Iterator[None]:
    """Run the `with` body in a transaction in which nobody else can change the record.

    Raises RecordDeleted, and ApiProblem as `require_current` does.
    """
    with transaction():
        lock(record)
        require_current(record)
        yield


def require_current(record: EditedTable) -> None:
    """Raise ApiProblem (412) if the header If-Match does not contain the ETag of the record.

    Do nothing if the request does not have the header.
    """
    if "If-Match" in request.headers and not contains_revision(request.if_match, record.revision):
        raise ApiProblem(
            "precondition-failed",
            "Somebody has changed this record since you read it. Nothing was saved. Read the "
            "record again, then try again.",
            headers={"ETag": f'"{etag_of(record.revision)}"'},
        )
