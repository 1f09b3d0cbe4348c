"""Remove slashes around the locations of vSphere, and invisible characters around all locations.

A record keeps its old location if its scope has another record of the image with the new location.
"""

from __future__ import annotations

from typing import Any

from peewee import CharField, Database, IntegerField, JSONField, Model

INVISIBLE = " \t\r\n\v\f\xa0\xad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"


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

    locations: Any = Image.select(Image.cloud, Image.location).distinct()
    for cloud, location in list(locations.tuples()):
        stripped = _stripped(cloud, location)
        if not stripped or stripped == location:
            continue
        for image in list(Image.select().where(Image.cloud == cloud, Image.location == location)):
            existing = Image.select().where(
                Image.scope_id == image.scope_id,
                Image.cloud == cloud,
                Image.location == stripped,
                Image.image_key == image.image_key,
                Image.compute_resource == image.compute_resource,
            )
            if not existing.exists():
                Image.update(location=stripped).where(Image.id == image.id).execute()
    for deleted in list(DeletedImage.select()):
        columns = deleted.record["columns"]
        stripped = _stripped(columns["cloud"], columns["location"])
        if stripped != columns["location"]:
            columns["location"] = stripped
            same = DeletedImage.id == deleted.id
            DeletedImage.update(record=deleted.record).where(same).execute()


def down(_migrator: Any, _db: Database) -> None:
    """Leave the locations as they are, because older versions accept them too."""


def _stripped(cloud: str, location: str) -> str:
    return location.strip(INVISIBLE + "/" if cloud == "vmware" else INVISIBLE)
