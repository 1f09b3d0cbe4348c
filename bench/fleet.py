"""Create a fleet: an installation with any number of images in 500 scopes, for benchmarks.

Sizes and frequencies are skewed as in real installations. Two fleets of the same size that are
created on the same day contain the same images. To save time, no triggers run while the images are
written, and the indexes of their table are created afterwards. Finally, this module checks the
counts that triggers normally maintain, and for a sample of the images, the columns that the
application normally derives.
"""

from __future__ import annotations

import random
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import psycopg
from peewee import fn

import models
from bench.fleet_images import COLUMNS, GROUP_COLUMNS, Fleet, Owner, Row
from models import FacetGroup, Image, Level, Membership, Person, Role, Scope, transaction
from sandbox.demonstration import create_person
from schema.tags import labels_in
from webapp.clouds import CLOUDS
from webapp.database import close_all, migrate, open_database
from webapp.images import image_details

SEED = 42
TAG_COLUMNS = "scope_id, account_id, shared, token, registered_at, id"
TAG_COUNT_COLUMNS = "scope_id, account_id, shared, token, label, images"
SCALR_MAX_IMAGES = 20_000
"""The Scalr scope owns about 5 % of all images, but not many more than this number."""
LARGE_ACCOUNT = "acme"
"""The path of the account with the most images."""
SMALL_ACCOUNT = "zenith"
"""The path of an account with few images."""
PATH_SEEING_MUCH = f"{LARGE_ACCOUNT}/production"
"""The path of a scope that sees many images."""
PATH_SEEING_LITTLE = SMALL_ACCOUNT
"""The path of a scope that sees few images."""
SCALR_ADMIN = "scalr@example.com"
EMAIL_SEEING_MUCH = "much@example.com"
"""The e-mail address of the admin of `PATH_SEEING_MUCH`, an environment of `LARGE_ACCOUNT`.

`LARGE_ACCOUNT` shares about 40 % of all images with its environments.
"""
EMAIL_SEEING_LITTLE = "little@example.com"
"""The e-mail address of the admin of `PATH_SEEING_LITTLE`, which is `SMALL_ACCOUNT`.

`SMALL_ACCOUNT` sees only its few images and the shared images of the Scalr scope.
"""
ACCOUNTS = (
    f"{LARGE_ACCOUNT} globex initech umbrella hooli vandelay wonka cyberdyne tyrell aperture "
    "oscorp wayne stark soylent gringotts monarch prestige virtucon nakatomi weyland omni "
    "dunder pied sterling bluth massive vehement oceanic rekall buynlarge krusty duff "
    "planet momcorp sirius zorg lexcorp lumon veidt gekko ewing primatech delos abstergo "
    f"macmillan contoso fabrikam northwind {SMALL_ACCOUNT}"
).split()
ENVIRONMENTS = (
    "production",
    "staging",
    "development",
    "test",
    "integration",
    "sandbox",
    "training",
    "backup",
    "research",
    "analytics",
    "payments",
    "search",
)
ENVIRONMENT_COUNT = 450
REGISTRARS = [
    f"{first} {last}"
    for last in ("Adler", "Brandt", "Costa", "Dahl")
    for first in ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gia", "Hugo", "Ida", "Jon")
]
CHUNK = 10_000


def create_fleet(url: str, images: int) -> None:
    """Create a fleet with `images` images in the empty database at `url`."""
    database = open_database(url)
    models.database.initialize(database)
    migrate(database)
    with transaction():
        owners = _create_scopes(images)
        registrars = _create_people()
    close_all(database)
    chance = random.Random(SEED)  # noqa: S311  not a secret
    fleet = Fleet(chance, owners, registrars, images)
    fill = _fill_sqlite if urlsplit(url).scheme == "sqlite" else _fill_postgresql
    fill(url, fleet)
    _check_fleet(images)
    close_all(database)


def is_complete(url: str, images: int) -> bool:
    """Return whether a database contains a fleet of this size, with its facet groups."""
    database = open_database(url)
    models.database.initialize(database)
    try:
        if not database.table_exists("facet_group"):
            return False
        counted = FacetGroup.select(fn.SUM(FacetGroup.images)).scalar()
        return bool(Image.select().count() == images == counted)
    finally:
        close_all(database)


def _create_scopes(images: int) -> list[Owner]:
    """Create 49 accounts and 450 environments. Return the scopes that own images."""
    scalr = Scope.get(Scope.path == "")
    owners = [Owner(scalr, min(0.05, SCALR_MAX_IMAGES / images), 0.97)]
    # The largest account has forty environments. The other environments are distributed evenly over
    # the other accounts.
    other_environments = ENVIRONMENT_COUNT - 40
    for rank, path in enumerate(ACCOUNTS):
        account = Scope.create(level=Level.ACCOUNT, parent=scalr, name=path.title(), path=path)
        owners.append(Owner(account, _weight(rank), 0.9 - 0.002 * rank))
        other_accounts = len(ACCOUNTS) - 1
        if rank == 0:
            number = 40
        else:
            number = other_environments * rank // other_accounts
            number -= other_environments * (rank - 1) // other_accounts
        owners += [_environment(account, rank, each) for each in range(number)]
    return [each for each in owners if each.weight]


def _weight(rank: int) -> float:
    """Return the approximate fraction of all images that an account owns.

    `rank` is the index of the account in `ACCOUNTS`.

    The largest account owns almost half of the images. `SMALL_ACCOUNT` owns a few. Every twelfth
    account owns none.
    """
    if rank == 0:
        return 0.45
    if rank == len(ACCOUNTS) - 1:
        return 0.0005
    return 0 if rank % 12 == 11 else 0.08 / rank


def _environment(account: Scope, rank: int, number: int) -> Owner:
    """Create an environment. It shares no images. Every seventh environment has no images.

    `rank` is the index of the account in `ACCOUNTS`. `number` counts the environments of the
    account from 0.
    """
    repetition, name_index = divmod(number, len(ENVIRONMENTS))
    name = ENVIRONMENTS[name_index] + (f"-{repetition + 1}" if repetition else "")
    scope = Scope.create(
        level=Level.ENVIRONMENT, parent=account, name=name.title(), path=f"{account.path}/{name}"
    )
    weight = 0.006 / (rank + 1) / (number + 1) ** 0.5
    return Owner(scope, 0 if number % 7 == 3 else weight, 0)


def _create_people() -> list[Person]:
    """Create all people. Return the people who registered images, the most active person first.

    Three people have a role. One of the three has also registered images: the person with the
    e-mail address `EMAIL_SEEING_MUCH`.
    """
    paths_by_email = {
        SCALR_ADMIN: "",
        EMAIL_SEEING_MUCH: PATH_SEEING_MUCH,
        EMAIL_SEEING_LITTLE: PATH_SEEING_LITTLE,
    }
    members = [create_person(email, email.partition("@")[0].title()) for email in paths_by_email]
    for person, path in zip(members, paths_by_email.values(), strict=True):
        Membership.create(person=person, scope=Scope.at(path), role=Role.ADMIN)
    others = [
        Person.create(
            email=f"{name.lower().replace(' ', '.')}@example.com",
            name=name,
            password_hash=members[0].password_hash,
            session_key=f"{number:032x}",
        )
        for number, name in enumerate(REGISTRARS)
    ]
    return [*others[:8], members[1], *others[8:]]


def _insert(table: str, columns: str, placeholder: str) -> str:
    placeholders = ", ".join([placeholder] * len(columns.split(", ")))
    return f"INSERT INTO {table} ({columns}) VALUES ({placeholders})"  # noqa: S608  constants


def _in_chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    rows, done = iter(rows), 0
    while chunk := list(islice(rows, CHUNK)):
        yield chunk
        done += len(chunk)
        if done % 100_000 == 0:
            report_progress(f"{done:,} images written")


def _fill_sqlite(url: str, fleet: Fleet) -> None:
    with closing(sqlite3.connect(urlsplit(url).path, isolation_level=None)) as connection:
        execute = connection.execute
        for pragma in ("journal_mode = off", "synchronous = off", "cache_size = -500000"):
            execute(f"PRAGMA {pragma}")
        execute("PRAGMA threads = 2")
        definitions = execute(
            "SELECT type, name, sql FROM sqlite_master "
            "WHERE tbl_name = 'image' AND type IN ('index', 'trigger') AND sql IS NOT NULL"
        ).fetchall()
        for kind, name, _ in definitions:
            execute(f"DROP {kind} {name}")
        insert = _insert("image", COLUMNS, "?")
        for chunk in _in_chunks(fleet.rows()):
            connection.executemany(insert, chunk)
        connection.executemany(_insert("facet_group", GROUP_COLUMNS, "?"), fleet.group_rows())
        _fill_tags(connection, "?")
        report_progress("indexes")
        execute("INSERT INTO image_words (image_words) VALUES ('rebuild')")
        # Triggers are created after indexes, because the triggers need the unique indexes.
        for _, _, sql in sorted(definitions):
            execute(sql)
        execute("INSERT INTO image_words (image_words) VALUES ('optimize')")
        execute("ANALYZE")
        execute("PRAGMA journal_mode = wal")


def _fill_postgresql(url: str, fleet: Fleet) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        execute = connection.execute
        execute("SET maintenance_work_mem = '512MB'")
        definitions = execute(
            "SELECT indexname, indexdef FROM pg_indexes "
            "WHERE tablename = 'image' AND indexname <> 'image_pkey'"
        ).fetchall()
        for name, _ in definitions:
            execute(f'DROP INDEX "{name}"'.encode())
        # This also disables the checks of foreign keys. These checks are not necessary: the foreign
        # keys of the images refer to scopes and people, which exist. (`group_id` is not a foreign
        # key.)
        execute("ALTER TABLE image DISABLE TRIGGER ALL")
        with connection.cursor().copy(f"COPY image ({COLUMNS}) FROM STDIN".encode()) as copy:
            for chunk in _in_chunks(fleet.rows()):
                for row in chunk:
                    copy.write_row(row)
        with connection.cursor() as cursor:
            cursor.executemany(
                _insert("facet_group", GROUP_COLUMNS, "%s").encode(), list(fleet.group_rows())
            )
        _fill_tags(connection, "%s")
        report_progress("indexes")
        for _, sql in definitions:
            execute(sql.encode())
        execute("ALTER TABLE image ENABLE TRIGGER ALL")
        for table in ("image", "facet_group"):
            highest = f"(SELECT max(id) FROM {table})"  # noqa: S608  constants
            execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {highest})".encode())
        execute("VACUUM ANALYZE")
        execute("CHECKPOINT")


def _fill_tags(connection: Any, placeholder: str) -> None:
    """Fill the tables of tags from the images, as the triggers would."""
    images = connection.execute(
        "SELECT scope_id, account_id, shared, registered_at, id, tag_index FROM image "
        "WHERE tag_index <> ''"
    ).fetchall()
    counts: Counter[tuple[Any, ...]] = Counter()
    rows = []
    for *slice_, registered_at, image_id, index in images:
        for token, label in labels_in(index).items():
            counts[*slice_, token, label] += 1
            rows.append((*slice_, token, registered_at, image_id))
    tables = {
        ("image_tag", TAG_COLUMNS): sorted(rows),
        ("tag_count", TAG_COUNT_COLUMNS): [(*key, count) for key, count in counts.items()],
    }
    for (table, columns), values in tables.items():
        if placeholder == "?":
            connection.executemany(_insert(table, columns, placeholder), values)
            continue
        with connection.cursor().copy(f"COPY {table} ({columns}) FROM STDIN".encode()) as copy:
            for row in values:
                copy.write_row(row)


def _count_grouped_images() -> int:
    """Return how many images have the same facets as their facet group.

    Check that the counts of the groups add up to this number.
    """
    names = [each.strip() for each in GROUP_COLUMNS.split(",")][1:-1]
    same_facets = " AND ".join(f"facet_group.{name} = image.{name}" for name in names)
    counted, summed = models.database.execute_sql(
        "SELECT (SELECT count(*) FROM image JOIN facet_group ON facet_group.id = image.group_id "  # noqa: S608
        f"AND {same_facets}), (SELECT sum(images) FROM facet_group)"
    ).fetchone()
    assert counted == summed, (counted, summed)
    return int(counted)


def _check_fleet(images: int) -> None:
    """Check that the application can read the fleet, and that the facet groups are right."""
    with models.database.connection_context():
        assert Image.select().count() == images == _count_grouped_images()
        for image in Image.select().order_by(Image.id.desc()).limit(100):
            assert CLOUDS[image.cloud].parse_image_id(image.cloud_image_id).value
            image_details.from_json(image.details)
            before = dict(image.__data__)
            image.derive()
            assert image.__data__ == before
        report_progress(f"{images:,} images in {FacetGroup.select().count():,} groups")


def report_progress(text: str) -> None:
    """Report progress on standard error. Standard output is for results."""
    print(text, file=sys.stderr, flush=True)
