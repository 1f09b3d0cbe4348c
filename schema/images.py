"""Tables of images, their tags, facet groups and deleted images."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

from peewee import (
    SQL,
    AutoField,
    BooleanField,
    CharField,
    Check,
    CompositeKey,
    DateField,
    ForeignKeyField,
    IntegerField,
    JSONField,
    TextField,
)
from playhouse.fields import EnumField

from schema.base import EditedTable, Table
from schema.columns import InstantField, Level, LifeCycle, TagsField, now
from schema.credentials import CloudCredentials
from schema.search_text import search_text
from schema.tags import tag_index
from schema.tenancy import Person, Scope
from schema.text import LONGEST_PLACE_KEY, place_key

NEVER_READ = "unknown"
"""The state of an image that was never read from its cloud."""

REFERENCE_PREFIX = "resolve:"
"""The beginning of a cloud image ID that refers to an image by the name of an SSM parameter.

An example of such an ID is `resolve:ssm:/my/image`.
"""


DERIVED_COLUMNS = frozenset(
    {
        "image_key",
        "location_key",
        "compute_resource_key",
        "name_key",
        "size_key",
        "verified",
        "search_text",
        "tag_index",
        "due_at",
        "derived_revision",
    }
)
"""Columns of images that `derive` and `save` compute from other columns."""


class Image(EditedTable):
    """A registered image. `webapp.images.identity` defines when two images are the same."""

    id = AutoField()
    scope_id: int
    credentials_id: int | None
    registered_by_id: int | None
    successor_id: int | None
    scope = ForeignKeyField(Scope, index=False, on_delete="CASCADE")
    cloud = CharField(max_length=32)
    location = CharField(max_length=128, default="")
    cloud_image_id = CharField(max_length=512)
    """The canonical ID, with capital and small letters as the cloud or the person wrote them."""
    compute_resource = CharField(max_length=255, default="")
    """'' means no compute resource."""

    name = CharField(max_length=255)
    os_family = CharField(max_length=64)
    os_version = CharField(max_length=64)
    os_version_key = CharField(max_length=64, default="")
    """Sort key, so that 9 comes before 10. See `webapp.images.operating_systems.version_key`."""
    size_gb = IntegerField(null=True)
    agent_installed = BooleanField()
    shared = BooleanField()

    tags = TagsField(default=list)
    """The tags as people wrote them, sorted by their tokens. See `schema.tags`."""
    notes = TextField(default="")
    """The notes of people about the image, in Markdown. See `webapp.web.notes`."""
    description = TextField(default="")
    architecture = CharField(max_length=32, default="")
    state = CharField(max_length=16)
    """A `webapp.clouds.details.ImageState`; NEVER_READ for an image never read from its cloud."""
    details = JSONField()
    """All details that the cloud returned at the last look-up or successful check.

    If the image was never read from its cloud, the details come from the line of the import.
    `webapp.images.image_details.to_json` defines the format.
    """

    credentials = ForeignKeyField(CloudCredentials, null=True, on_delete="SET NULL")
    credentials_name = CharField(max_length=64)
    """The name of the credentials. It stays here after the credentials are deleted."""
    registered_by = ForeignKeyField(Person, null=True, on_delete="SET NULL")
    registered_by_name = CharField(max_length=254)
    registered_at = InstantField(default=now)
    checked_at = InstantField(default=now)
    """When the last look-up or successful check began to read the image from the cloud.

    If the image is not `verified`, this is when it was registered, and the Images page shows “Not
    yet read”.
    """
    check_failed_at = InstantField(null=True)
    """When the last check failed. NULL if it succeeded, or if there was no check."""
    check_error = TextField(default="")
    """Why the last check failed, or ''."""

    deprecation_announced_for = InstantField(null=True)
    """When the state becomes `deprecated`, as the image's owner in the cloud has announced.

    NULL if nothing is announced, or if the state is not `available`.
    """

    status = EnumField(LifeCycle, max_length=16, default=LifeCycle.ACTIVE)
    """The status today."""
    deprecated_on = DateField(null=True)
    """The first day, in UTC, on which the image is deprecated. It may be in the future."""
    retired_on = DateField(null=True)
    """The first day, in UTC, on which the image is retired. It may be in the future."""
    status_reason = CharField(max_length=255, default="")
    successor = ForeignKeyField("self", null=True, on_delete="SET NULL")
    due_at = InstantField(null=True)
    """The next time at which a planned or announced date changes the status or the state.

    NULL if there is no such date. `derive` fills this column, and `webapp.images.due_dates` makes
    the change.
    """

    image_key = CharField(max_length=512, default="")
    """`image_key_of(cloud_image_id)`, filled by `derive`.

    Cloud image IDs are compared only in this form.
    """
    location_key = CharField(max_length=LONGEST_PLACE_KEY, null=True)
    """`place_key(location)`, filled by `derive`.

    NULL only if an older version of the application registered the image. See
    `webapp.images.catching_up`.
    """
    compute_resource_key = CharField(max_length=LONGEST_PLACE_KEY, null=True)
    """`place_key(compute_resource)`, filled by `derive`. NULL if `location_key` is NULL."""
    derived_revision = IntegerField(default=1)
    """If this is equal to `revision`, all derived columns are correct. See `DERIVED_COLUMNS`.

    The two numbers differ only if an older version of the application has changed or registered the
    image. See `webapp.images.catching_up`.
    """
    name_key = CharField(max_length=255, default="")
    """The name in lower case, by which the Images page sorts. Filled by `derive`.

    Python converts the name to lower case, so that all databases return the same order.
    """
    size_key = IntegerField(default=0)
    """The size in GB, or 0 if it is unknown, by which the Images page sorts. Filled by `derive`."""
    search_text = TextField(default="")
    """The text that searches read, filled by `derive`. See `schema.search_text`."""
    tag_index = TextField(default="")
    """The tokens of the tags, filled by `derive`. Triggers copy the tokens to `ImageTag`."""
    verified = BooleanField(default=True)
    """Whether the image was ever read from its cloud. Filled by `derive`."""
    group_id = IntegerField(default=0, index=True)
    """The ID of the `FacetGroup` that counts the image. Database triggers set it."""
    account_id = IntegerField(null=True)
    """The ID of the account that owns the image, directly or through one of its environments.

    An image of the Scalr scope has the ID of this scope. Database triggers set this column. IDs of
    scopes are never reused, so the column needs no foreign key.
    """

    class Meta:
        indexes = ((("cloud", "image_key"), False),)
        constraints = (
            Check("size_gb IS NULL OR size_gb >= 1"),
            Check("length(name) BETWEEN 2 AND 255"),
        )

    def derive(self) -> None:
        """Fill the columns that are computed from other columns."""
        self.image_key = image_key_of(self.cloud_image_id)
        self.location_key = place_key(self.location)
        self.compute_resource_key = place_key(self.compute_resource)
        self.name_key = self.name.lower()[:255]
        self.size_key = self.size_gb or 0
        self.verified = self.state != NEVER_READ
        self.search_text = search_text(self.name, self.cloud_image_id, self.description)
        self.tag_index = tag_index(self.tags)
        self.due_at = self._next_due_date()

    def _next_due_date(self) -> datetime | None:
        days = {
            LifeCycle.ACTIVE: (self.deprecated_on, self.retired_on),
            LifeCycle.DEPRECATED: (self.retired_on,),
            LifeCycle.RETIRED: (),
        }[self.status]
        instants = [datetime.combine(day, time(), UTC) for day in days if day]
        if self.deprecation_announced_for:
            instants.append(self.deprecation_announced_for)
        return min(instants, default=None)

    def save(self, force_insert: bool = False, only: Any = None) -> Any:
        self.derive()
        if force_insert or self.id is None:
            self.derived_revision = self.revision
        return super().save(force_insert=force_insert, only=only)

    def store_derived(self) -> None:
        """Store all derived columns of an image that an older version has registered or changed.

        Also store `deprecation_announced_for`, which the caller has set. The revision stays the
        same, because no person has changed the image.
        """
        self.derive()
        self.derived_revision = self.revision
        values = {
            name: getattr(self, name) for name in (*DERIVED_COLUMNS, "deprecation_announced_for")
        }
        type(self).update(values).where(type(self).id == self.id).execute()

    @classmethod
    def update_all(cls, **values: Any) -> Any:
        """Return an UPDATE query that increments `revision` and `derived_revision` of each image.

        If the two numbers of an image differ, they still differ after the UPDATE. So the image
        still counts as changed by an older version.
        """
        return super().update_all(**{**values, "derived_revision": cls.derived_revision + 1})

    @classmethod
    def visible_from(cls, scope: Scope) -> Any:
        """Return the query condition for images that `scope` owns or inherits."""
        return (cls.scope == scope.id) | (cls.scope.in_(scope.above) & cls.shared)

    @classmethod
    def in_subtree(cls, scope: Scope) -> Any:
        """Return the query condition for images that `scope` or a scope below it owns."""
        if scope.level is Level.SCALR:
            return SQL("1 = 1")
        return (cls.account_id if scope.level is Level.ACCOUNT else cls.scope) == scope.id


def image_key_of(cloud_image_id: str) -> str:
    """Return the form in which two canonical IDs of the same cloud image are equal.

    Azure ignores the case of its IDs. The IDs of the other clouds have no capital letters, except
    references to SSM parameters: the case of a parameter's name matters.
    """
    if cloud_image_id.startswith(REFERENCE_PREFIX):
        return cloud_image_id
    return cloud_image_id.lower()


# A slice is the shared or the unshared images of a scope, of an account with its environments, or
# of all scopes. Each slice is one contiguous range of an index.
_SORT_COLUMNS = (
    # For the order `shared`, and for the order `owner` in slices with only one owner. Both orders
    # sort the images of such a slice by ID.
    (),
    ("name_key",),
    ("cloud", "cloud_image_id"),
    ("cloud", "location"),
    ("os_family", "os_version_key"),
    ("size_key",),
    ("agent_installed",),
    ("architecture",),
    ("status", "state"),
    ("registered_at",),
    ("registered_by_name",),
    ("checked_at",),
    # For a search for a family of operating systems, sorted by name. Most names begin with their
    # operating system. Without this index, a search for Ubuntu would read all images whose names
    # begin with A to T before it finds the first match.
    ("os_family", "name_key"),
)
# The sort orders of the Images page have three indexes each: for the images of one scope, of an
# account with its environments, and of all scopes. The order `owner` has only the second and the
# third index, with the column `scope`. All images of a slice of one scope have the same owner, so
# for such a slice, this order uses the index by ID.
# Every image has an `account_id`, except while a migration fills this column.
_ACCOUNT_IS_FILLED = Image.account_id.is_null(False)
for _prefix, _owner, _orders, _where in (
    ("image_by", ("scope",), _SORT_COLUMNS, None),
    ("account_image_by", ("account_id",), (*_SORT_COLUMNS, ("scope",)), _ACCOUNT_IS_FILLED),
    ("any_image_by", (), (*_SORT_COLUMNS, ("scope",)), _ACCOUNT_IS_FILLED),
):
    for _columns in _orders:
        Image.add_index(
            Image.index(
                *(getattr(Image, name) for name in (*_owner, "shared", *_columns, "id")),
                name="_".join((_prefix, *(_columns or ("id",)))),
                where=_where,
            )
        )


Image.add_index(
    # Few images have a due date, so the index is small.
    Image.index(Image.due_at, name="image_due_at", where=Image.due_at.is_null(False))
)
# A scope registers an image only once. See `webapp.images.identity`.
Image.add_index(
    Image.index(
        Image.scope,
        Image.cloud,
        Image.location_key,
        Image.image_key,
        Image.compute_resource_key,
        unique=True,
        name="image_identity",
        where=Image.location_key.is_null(False),
    )
)
_UNDERIVED = SQL("derived_revision <> revision")
Image.add_index(Image.index(Image.derived_revision, name="image_underived", where=_UNDERIVED))
UNDERIVED = (Image.derived_revision >= 0) & _UNDERIVED
"""The condition for images that an older version has changed or registered.

The comparison with 0 is always true. It makes SQLite use the index `image_underived`.
"""


class FacetGroup(Table):
    """The number of images that have the same scope and the same facets.

    The facets are all columns of this table from `shared` to `verified`. Database triggers update
    the number. So the time to count images depends on the number of groups, not on the number of
    images.
    """

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
    account_id = IntegerField(null=True)
    """The same as `Image.account_id`, also set by triggers."""

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
        # Most counts need only the columns of this index, so they don't read the table.
        name="facet_group_counted",
    )
)
for _name, _owner in (("account_facets", ("account_id",)), ("any_facets", ())):
    # These indexes are for the counts of a list that includes the scopes below. The groups of an
    # account, or of all scopes, are one contiguous range, and groups with the same facets are
    # adjacent.
    FacetGroup.add_index(
        FacetGroup.index(
            *(
                getattr(FacetGroup, name)
                for name in (
                    *_owner,
                    "shared",
                    "cloud",
                    "os_family",
                    "location",
                    "architecture",
                    "agent_installed",
                    "status",
                    "state",
                    "verified",
                    "os_version",
                    "scope",
                    *(() if _owner else ("account_id",)),
                    "images",
                )
            ),
            name=_name,
        )
    )


class ImageTag(Table):
    """A token of an image: one of its tags, or the key of a tag, such as `team` for `team=web`.

    The token is the form in which tags and keys are compared. See `schema.tags`. Database triggers
    keep this table up to date.

    The primary key groups the images by their scope, `shared` and token. Within each group, the
    images are sorted by the time of their registration, as in the default order of the Images page.
    """

    scope_id = IntegerField()
    account_id = IntegerField(null=True)
    """The same as `Image.account_id`."""
    shared = BooleanField()
    token = TextField()
    registered_at = InstantField()
    id = IntegerField()
    """The ID of the image."""

    class Meta:
        primary_key = CompositeKey("scope_id", "shared", "token", "registered_at", "id")
        without_rowid = True


class TagCount(Table):
    """How many of the shared, or of the unshared, images of one scope have a token.

    Database triggers update the number, as they do for `FacetGroup`.
    """

    scope_id = IntegerField()
    account_id = IntegerField(null=True)
    """The same as `Image.account_id`."""
    shared = BooleanField()
    token = TextField()
    label = TextField()
    """The spelling of the tag in the image for which this row was created.

    See `schema.tags.labels_by_token`.
    """
    images = IntegerField()

    class Meta:
        primary_key = CompositeKey("scope_id", "shared", "token")
        without_rowid = True


# Each slice is one contiguous range of an index, also in a list that includes the scopes below. See
# `_SORT_COLUMNS`.
for _table, _name, _index_columns in (
    (
        ImageTag,
        "account_image_tag",
        ("account_id", "shared", "token", "registered_at", "id", "scope_id"),
    ),
    (
        ImageTag,
        "any_image_tag",
        ("shared", "token", "registered_at", "id", "scope_id", "account_id"),
    ),
    (TagCount, "tag_count_by_images", ("scope_id", "shared", "images")),
    (TagCount, "account_tag_count", ("account_id", "shared", "token", "scope_id", "images")),
    (TagCount, "account_tag_count_by_images", ("account_id", "shared", "images")),
    (TagCount, "any_tag_count", ("shared", "token", "scope_id", "account_id", "images")),
    (TagCount, "any_tag_count_by_images", ("shared", "images")),
):
    _table.add_index(_table.index(*(getattr(_table, name) for name in _index_columns), name=_name))


class DeletedImage(Table):
    """A deleted image, which can be restored for 24 hours. See `webapp.images.deletion`."""

    id = IntegerField(primary_key=True)
    """The ID that the image had."""
    scope_id: int
    scope = ForeignKeyField(Scope, on_delete="CASCADE")
    batch = CharField(max_length=32, index=True)
    """A random text that nobody can guess, equal for all images that were deleted together."""
    record = JSONField()
    """Everything that is necessary to restore the image, such as the values of its columns."""
    deleted_by = ForeignKeyField(Person, null=True, on_delete="SET NULL")
    deleted_at = InstantField(default=now, index=True)

    class Meta:
        indexes = ((("scope", "deleted_at"), False),)
