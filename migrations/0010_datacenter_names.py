"""Store the names of datacenters and compute resources of vSphere as the vSphere Client shows them.

vCenter returns each slash, backslash and percent sign in a name in URL encoding, for example %2f
for a slash. A record keeps its old values if its scope has another record of the image with the new
values.
"""

from __future__ import annotations

import re
from typing import Any

from peewee import CharField, Database, IntegerField, JSONField, Model

ESCAPES = {"%2f": "/", "%5c": "\\", "%25": "%"}
ESCAPED = re.compile("|".join(ESCAPES), re.IGNORECASE)
COLUMNS = ("location", "compute_resource")


def up(_migrator: Any, db: Database) -> None:
    class Image(Model):
        id = IntegerField(primary_key=True)
        scope_id = IntegerField()
        cloud = CharField()
        location = CharField()
        image_key = CharField()
        compute_resource = CharField()

        class Meta:
            database = db
            legacy_table_names = False

    class DeletedImage(Model):
        id = IntegerField(primary_key=True)
        record = JSONField()

        class Meta:
            database = db
            legacy_table_names = False

    escaped = Image.location.contains("%") | Image.compute_resource.contains("%")
    for image in list(Image.select().where(Image.cloud == "vmware", escaped)):
        values = {name: _decoded(getattr(image, name)) for name in COLUMNS}
        same = [getattr(Image, name) == value for name, value in values.items()]
        existing = Image.select().where(
            *same,
            Image.scope_id == image.scope_id,
            Image.cloud == "vmware",
            Image.image_key == image.image_key,
        )
        if not existing.exists():
            Image.update(values).where(Image.id == image.id).execute()
    for deleted in list(DeletedImage.select()):
        columns = deleted.record["columns"]
        values = {name: _decoded(columns[name]) for name in COLUMNS}
        if columns["cloud"] == "vmware" and not values.items() <= columns.items():
            columns.update(values)
            DeletedImage.update(record=deleted.record).where(
                DeletedImage.id == deleted.id
            ).execute()


def down(_migrator: Any, _db: Database) -> None:
    """Leave the names as they are. Older versions find a template only under the old name."""


def _decoded(text: str) -> str:
    return ESCAPED.sub(lambda match: ESCAPES[match[0].lower()], text)
