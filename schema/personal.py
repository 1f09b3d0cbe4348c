"""Tables of a person's saved views, bookmarks and messages."""

from __future__ import annotations

from peewee import AutoField, BooleanField, CharField, ForeignKeyField, JSONField

from schema.base import EditedTable, Table
from schema.columns import InstantField, now
from schema.tenancy import Person, Scope


class SavedView(EditedTable):
    """A named search of the Images page. If it is shared, everybody at the scope sees it."""

    id = AutoField()
    scope = ForeignKeyField(Scope, on_delete="CASCADE")
    person_id: int
    person = ForeignKeyField(Person, on_delete="CASCADE")
    name = CharField(max_length=60)
    path = CharField(max_length=1000)
    """The path and query of the page, relative to the scope, such as 'images?q=cloud%3Aaws'."""
    shared = BooleanField(default=False)
    created_at = InstantField(default=now)

    class Meta:
        indexes = ((("scope", "person", "name"), True),)


class BookmarkBar(Table):
    """A person's bookmarks at a scope, in order. Without a row, the default bookmarks apply."""

    id = AutoField()
    person = ForeignKeyField(Person, index=False, on_delete="CASCADE")
    scope = ForeignKeyField(Scope, on_delete="CASCADE")
    items = JSONField()
    """[{"label": "Images", "path": "images?q=cloud%3Aaws"}, …]. Paths are relative to the scope."""

    class Meta:
        indexes = ((("person", "scope"), True),)


class Notice(Table):
    """A message to a person, which the Activity page lists.

    Usually, another page has already shown the message for a few seconds.
    """

    id = AutoField()
    person = ForeignKeyField(Person, index=False, on_delete="CASCADE")
    scope_id: int | None
    scope = ForeignKeyField(Scope, null=True, on_delete="CASCADE")
    """The scope of the page that first showed the message, or of the stopped job that the message
    is about. None if that page belongs to no scope."""
    at = InstantField(default=now, index=True)
    kind = CharField(max_length=8)
    """success, warning or danger."""
    text = CharField(max_length=1000)
    """The message. Each placeholder `{name}` is replaced by the link with this name in `links`."""
    links = JSONField()
    """{"name": [text of the link, URL], …}"""

    class Meta:
        indexes = ((("person", "id"), False),)
