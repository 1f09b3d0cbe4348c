"""The tables, their constraints, and the queries that belong to one table.

Knows Peewee and nothing of Flask, of a cloud's SDK, or of a form. What a column may hold is said
here and enforced by the database; rules that span rows live in the use cases under `webapp/`.
"""

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

from fields import (
    DATABASE_REFUSALS,
    InstantField,
    Level,
    LifeCycle,
    Prepared,
    Role,
    database,
    now,
    today,
    transaction,
)
from tenancy import Invitation, Membership, Person, Scope, Table

__all__ = [
    "DATABASE_REFUSALS",
    "AuditEntry",
    "BookmarkBar",
    "CloudCredentials",
    "DeletedImage",
    "FacetGroup",
    "Image",
    "Invitation",
    "Job",
    "JobRow",
    "Level",
    "LifeCycle",
    "Membership",
    "Person",
    "Prepared",
    "Role",
    "SavedView",
    "Scope",
    "database",
    "now",
    "today",
    "transaction",
]


class CloudCredentials(Table):
    """How to log in to one cloud. Owned by a scope; usable there and below, never above."""

    id = AutoField()
    scope_id: int
    scope = ForeignKeyField(Scope, index=False, on_delete="CASCADE")
    cloud = CharField(max_length=32)
    name = CharField(max_length=64)
    settings = JSONField()
    """The fields that are no secret."""
    secrets = TextField()
    """The secret ones, encrypted as one by `webapp.vault`."""
    account = CharField(max_length=128, default="")
    """Whom the cloud took us for when it was last asked; '' if it never was."""
    checked_at = InstantField(null=True)
    created_at = InstantField(default=now)

    class Meta:
        indexes = ((("scope", "name"), True),)

    @classmethod
    def usable_at(cls, scope: Scope) -> Any:
        """The condition for credentials that `scope` owns or inherits."""
        return cls.scope.in_([scope.id, *scope.above])


class Image(Table):
    """Our record of one cloud image. The five fields of the unique index are its identity."""

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
    """Sorts versions as numbers: `webapp.operating_systems.version_key`."""
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
    """As of today: `webapp.life_cycle` lets the dates take effect."""
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

    @property
    def same_cloud_image(self) -> Any:
        """The condition for records of the same cloud image, at any scope."""
        return (
            (Image.cloud == self.cloud)
            & (Image.location == self.location)
            & (Image.cloud_image_id == self.cloud_image_id)
        )

    @property
    def identity(self) -> Any:
        """The condition for records that would be the same as this one, at any scope."""
        return self.same_cloud_image & (Image.compute_resource == self.compute_resource)


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


class Job(Table):
    """Work on many images that goes on when nobody looks: a bulk action, or an import."""

    id = AutoField()
    scope_id: int
    person_id: int
    scope = ForeignKeyField(Scope, on_delete="CASCADE")
    person = ForeignKeyField(Person, on_delete="CASCADE")
    action = CharField(max_length=32)
    arguments = JSONField()
    state = CharField(max_length=8, default="planned")
    """planned, running, done or stopped."""
    total = IntegerField()
    done = IntegerField(default=0)
    created_at = InstantField(default=now)
    seen_at = InstantField(default=now)
    """When the process that works on it last said so; another takes over after a silence."""
    finished_at = InstantField(null=True)

    class Meta:
        constraints = (Check("state IN ('planned', 'running', 'done', 'stopped')"),)


class JobRow(Table):
    """One image, or one line of an import, of a job, and what became of it."""

    id = AutoField()
    job = ForeignKeyField(Job, index=False, on_delete="CASCADE")
    position = IntegerField()
    image_id = IntegerField(null=True)
    """No foreign key: it outlives the image."""
    subject = CharField(max_length=512)
    arguments = JSONField(default=dict)
    outcome = CharField(max_length=16, default="")
    """'' until its turn comes."""
    message = TextField(default="")

    class Meta:
        indexes = ((("job", "position"), True),)


class BookmarkBar(Table):
    """The bookmarks that a person keeps at a scope, in order. No row: the default ones."""

    id = AutoField()
    person = ForeignKeyField(Person, index=False, on_delete="CASCADE")
    scope = ForeignKeyField(Scope, on_delete="CASCADE")
    items = JSONField()
    """[{"label": "Images", "path": "images?cloud=aws"}, …], the path relative to the scope."""

    class Meta:
        indexes = ((("person", "scope"), True),)


class AuditEntry(Table):
    """Who changed what, when, from what to what. Written with the change, never changed."""

    id = AutoField()
    at = InstantField(default=now)
    scope = ForeignKeyField(Scope, null=True, index=False, on_delete="SET NULL")
    scope_label = CharField(max_length=160)
    """Outlives the scope."""
    person = ForeignKeyField(Person, null=True, on_delete="SET NULL")
    person_name = CharField(max_length=254)
    action = CharField(max_length=48)
    """`noun.verb`: image.register, credentials.edit, member.remove."""
    subject = CharField(max_length=255)
    """The name of what was changed, at that time."""
    image_id = IntegerField(null=True)
    """For entries about an image, which the entry outlives: no foreign key."""
    changes = JSONField()
    """{"field": [from, to], …}; for a secret, only that it changed."""

    class Meta:
        indexes = ((("scope", "at"), False), (("image_id", "at"), False))


TABLES = (
    Scope,
    Person,
    Membership,
    Invitation,
    CloudCredentials,
    Image,
    FacetGroup,
    DeletedImage,
    SavedView,
    Job,
    JobRow,
    BookmarkBar,
    AuditEntry,
)
