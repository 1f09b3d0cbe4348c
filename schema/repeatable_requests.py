"""Table of requests that clients may repeat. The work of such a request is done only once."""

from __future__ import annotations

from peewee import AutoField, CharField, DoubleField, TextField

from schema.base import Table
from schema.columns import InstantField, now


class RepeatableRequest(Table):
    """A request with the header Idempotency-Key. See `webapp.repeatable_requests`."""

    id = AutoField()
    owner = CharField(max_length=64)
    """The `ApiToken.key` of the request's token. Two tokens may use the same Idempotency-Key."""
    key_digest = CharField(max_length=64)
    request_digest = CharField(max_length=64)
    """A digest of the method, the URL and the body.

    The digest is keyed, because the body can contain secrets.
    """
    claim = CharField(max_length=32)
    """A random text that identifies the attempt that does the work, or did it."""
    claimed_until = DoubleField()
    """When the claim expires, in seconds since 1970, by the database's clock.

    If there is no response yet at this time, another attempt may do the work.
    """
    answer = TextField(null=True)
    """The encrypted response, which can contain secrets. NULL while the work is in progress."""
    created_at = InstantField(default=now, index=True)

    class Meta:
        indexes = ((("owner", "key_digest"), True),)
