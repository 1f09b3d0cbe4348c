"""Tables of images, of their counts by facet, and of deleted images."""

from __future__ import annotations

from typing import Any

from peewee import (
    AutoField,
    BooleanField,
    CharField,
    Check,
    DateField,
    ForeignKeyField,
    IntegerField,
    JSONField,
    TextField,
)
from playhouse.fields import EnumField

from schema.base import Table
from schema.columns import InstantField, LifeCycle, now
from schema.credentials import CloudCredentials
from schema.tenancy import Person, Scope


class Image(Table):
    """Our record of one cloud image. `webapp.images.identity` says when two images are the same."""

    id = AutoField()
    scope_id: int
    credentials_id: int | None
    registered_by_id: int | None
    successor_id: int | None
    scope = ForeignKeyField(Scope, index=False, on_delete="CASCADE")
    cloud = CharField(max_length=32)
    location = CharField(max_length=128, default="")
    cloud_image_id = CharField(max_length=512)
    compute_resource = CharField(max_length=255, default="")
    """'' stands for none in every one of these: NULLs are never equal in a unique index."""

    name = CharField(max_length=255)
    os_family = CharField(max_length=64)
    os_version = CharField(max_length=64)
    os_version_key = CharField(max_length=64, default="")
    """Sorts versions as numbers: `webapp.images.operating_systems.version_key`."""
    size_gb = IntegerField(null=True)
    agent_installed = BooleanField()
    shared = BooleanField()

    description = TextField(default="")
    architecture = CharField(max_length=32, default="")
    state = CharField(max_length=16)
    """A `webapp.clouds.base.ImageState`."""
    details = JSONField()
    """All that the cloud said when it was last read: `ImageDetails.to_json`."""

    credentials = ForeignKeyField(CloudCredentials, null=True, on_delete="SET NULL")
    credentials_name = CharField(max_length=64)
    """Outlives the credentials."""
    registered_by = ForeignKeyField(Person, null=True, on_delete="SET NULL")
    registered_by_name = CharField(max_length=254)
    registered_at = InstantField(default=now)
    checked_at = InstantField(default=now)
    verified = BooleanField(default=True)
    """Whether the cloud was ever asked; what was imported without a look-up is not."""

    status = EnumField(LifeCycle, max_length=16, default=LifeCycle.ACTIVE)
    """As of today: `webapp.images.life_cycle` lets the dates take effect."""
    deprecated_on = DateField(null=True)
    retired_on = DateField(null=True)
    """From this day on, in UTC; it may lie ahead."""
    status_reason = CharField(max_length=255, default="")
    successor = ForeignKeyField("self", null=True, on_delete="SET NULL")

    name_key = CharField(max_length=255, default="")
    size_key = IntegerField(default=0)
    search_text = TextField(default="")
    """Derived, see `save`: what names and sizes are sorted by, and what words are looked for in,
    all in lower case by Python's rules, so that every database sorts and finds the same."""
    group_id = IntegerField(default=0, index=True)
    """The `FacetGroup` that it counts in; the database's triggers keep it."""

    class Meta:
        indexes = (
            (("scope", "cloud", "location", "cloud_image_id", "compute_resource"), True),
            (("cloud", "cloud_image_id"), False),
            (("status", "deprecated_on"), False),
            (("status", "retired_on"), False),
        )
        constraints = (
            Check("size_gb IS NULL OR size_gb >= 1"),
            Check("length(name) BETWEEN 2 AND 255"),
        )

    def derive(self) -> None:
        """Fill the columns that follow from others."""
        self.name_key = self.name.lower()[:255]
        self.size_key = self.size_gb or 0
        self.search_text = f"{self.name}\n{self.cloud_image_id}\n{self.description}".lower()

    def save(self, *args: Any, **options: Any) -> Any:
        self.derive()
        return super().save(*args, **options)

    @classmethod
    def seen_from(cls, scope: Scope) -> Any:
        """The condition for images that `scope` owns or inherits."""
        return (cls.scope == scope.id) | (cls.scope.in_(scope.above) & cls.shared)


for _columns in (
    (),
    ("name_key",),
    ("cloud_image_id",),
    ("cloud", "location"),
    ("os_family", "os_version_key"),
    ("size_key",),
    ("agent_installed",),
    ("architecture",),
    ("status", "state"),
    ("registered_at",),
    ("registered_by_name",),
    ("checked_at",),
):
    # What the Images page can be sorted by: each scope's images, the shared ones apart from the
    # others, are a run in that order.
    _run = ("scope", "shared", *_columns, "id")
    Image.add_index(
        Image.index(
            *(getattr(Image, name) for name in _run),
            name="_".join(("image_by", *(_columns or ("id",)))),
        )
    )


class FacetGroup(Table):
    """How many images of a scope are alike in all that can be filtered by. The database's
    triggers keep it, so that counting costs the same however many images there are."""

    id = AutoField()
    scope_id: int
    scope = ForeignKeyField(Scope, index=False, on_delete="CASCADE")
    shared = BooleanField()
    cloud = CharField(max_length=32)
    location = CharField(max_length=128)
    os_family = CharField(max_length=64)
    os_version = CharField(max_length=64)
    architecture = CharField(max_length=32)
    agent_installed = BooleanField()
    status = EnumField(LifeCycle, max_length=16)
    state = CharField(max_length=16)
    verified = BooleanField()
    images = IntegerField()

    class Meta:
        indexes = (
            (
                (
                    "scope",
                    "shared",
                    "cloud",
                    "os_family",
                    "os_version",
                    "location",
                    "architecture",
                    "agent_installed",
                    "status",
                    "state",
                    "verified",
                ),
                True,
            ),
        )


FacetGroup.add_index(
    FacetGroup.index(
        FacetGroup.scope,
        FacetGroup.shared,
        FacetGroup.cloud,
        FacetGroup.os_family,
        FacetGroup.agent_installed,
        FacetGroup.status,
        FacetGroup.state,
        FacetGroup.verified,
        FacetGroup.images,
        # With this most sums never look at the table itself.
        name="facet_group_counted",
    )
)


class DeletedImage(Table):
    """An image that was deleted a short while ago, kept so that this can be undone."""

    id = IntegerField(primary_key=True)
    """That of the image."""
    scope = ForeignKeyField(Scope, on_delete="CASCADE")
    batch = CharField(max_length=32, index=True)
    """What was deleted together has the same, which nobody can guess."""
    record = JSONField()
    deleted_by = ForeignKeyField(Person, null=True, on_delete="SET NULL")
    deleted_at = InstantField(default=now, index=True)
