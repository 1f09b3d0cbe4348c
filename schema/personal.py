"""Tables of what people keep for themselves at a scope: saved views and bookmarks."""

from __future__ import annotations

from peewee import AutoField, BooleanField, CharField, ForeignKeyField, JSONField

from schema.base import Table
from schema.columns import InstantField, now
from schema.tenancy import Person, Scope


class SavedView(Table):
    """A search of the Images page under a name: a person's own, or the scope's when shared."""

    id = AutoField()
    scope = ForeignKeyField(Scope, on_delete="CASCADE")
    person = ForeignKeyField(Person, on_delete="CASCADE")
    name = CharField(max_length=60)
    path = CharField(max_length=1000)
    """As a bookmark has it: 'images?q=cloud%3Aaws'."""
    shared = BooleanField(default=False)
    created_at = InstantField(default=now)

    class Meta:
        indexes = ((("scope", "person", "name"), True),)


class BookmarkBar(Table):
    """The bookmarks that a person keeps at a scope, in order. No row: the default ones."""

    id = AutoField()
    person = ForeignKeyField(Person, index=False, on_delete="CASCADE")
    scope = ForeignKeyField(Scope, on_delete="CASCADE")
    items = JSONField()
    """[{"label": "Images", "path": "images?q=cloud%3Aaws"}, …], the path relative to the scope."""

    class Meta:
        indexes = ((("person", "scope"), True),)
