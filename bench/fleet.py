"""A generated installation with any number of images in 500 scopes, for benchmarks.

Sizes and frequencies are skewed as in real installations. A fleet is the same whenever it is made
on the same day. Rows are written directly to the tables. Indexes and triggers are created again at
the end, and the columns that triggers fill are checked.
"""

from __future__ import annotations

import random
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from urllib.parse import urlsplit

import psycopg
from peewee import fn

import models
from bench.fleet_images import COLUMNS, GROUP_COLUMNS, Fleet, Owner, Row
from bench.measure import PASSWORD
from models import FacetGroup, Image, Level, Membership, Person, Role, Scope, transaction
from webapp.clouds import CLOUDS
from webapp.database import close_all, migrate, open_database
from webapp.images import image_details
from webapp.people import accounts

SEED = 42
SCALR_MOST = 20_000
"""Scalr owns 5 % of all images, but at most this many."""
LARGE, SMALL = "acme", "zenith"
MUCH, LITTLE = f"{LARGE}/production", SMALL
SCALR_ADMIN = "scalr@example.com"
SEES_MUCH = "much@example.com"
"""Admin of `MUCH`, an environment of the account that shares almost half of all images."""
SEES_LITTLE = "little@example.com"
"""Admin of `LITTLE`, an account that sees its few images and Scalr's."""
ACCOUNTS = (
    f"{LARGE} globex initech umbrella hooli vandelay wonka cyberdyne tyrell aperture oscorp wayne "
    "stark soylent gringotts monarch prestige virtucon nakatomi weyland omni dunder pied sterling "
    "bluth massive vehement oceanic rekall buynlarge krusty duff planet momcorp sirius zorg "
    "lexcorp lumon veidt gekko ewing primatech delos abstergo macmillan contoso fabrikam "
    f"northwind {SMALL}"
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
ALL_ENVIRONMENTS = 450
REGISTRARS = [
    f"{first} {last}"
    for last in ("Adler", "Brandt", "Costa", "Dahl")
    for first in ("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gia", "Hugo", "Ida", "Jon")
]
CHUNK = 10_000


def make(url: str, images: int) -> None:
    """Fill the empty database that `url` names."""
    database = open_database(url)
    models.database.initialize(database)
    migrate(database)
    with transaction():
        owners = _scopes(images)
        registrars = _people()
    close_all(database)
    chance = random.Random(SEED)  # noqa: S311  not a secret
    fleet = Fleet(chance, owners, registrars, images)
    fill = _fill_sqlite if urlsplit(url).scheme == "sqlite" else _fill_postgresql
    fill(url, fleet)
    _check(images)
    close_all(database)


def is_made(url: str, images: int) -> bool:
    """Return whether a database holds a fleet of this size, counted in facet groups."""
    database = open_database(url)
    models.database.initialize(database)
    try:
        if not database.table_exists("facet_group"):
            return False
        counted = FacetGroup.select(fn.SUM(FacetGroup.images)).scalar()
        return bool(Image.select().count() == images == counted)
    finally:
        close_all(database)


def _scopes(images: int) -> list[Owner]:
    """Create Scalr, 49 accounts and 450 environments. Return the scopes that own images."""
    scalr = Scope.get(Scope.path == "")
    owners = [Owner(scalr, min(0.05, SCALR_MOST / images), 0.97)]
    # The largest account has forty environments. The other accounts share the rest evenly.
    left = ALL_ENVIRONMENTS - 40
    for rank, path in enumerate(ACCOUNTS):
        account = Scope.create(level=Level.ACCOUNT, parent=scalr, name=path.title(), path=path)
        owners.append(Owner(account, _weight(rank), 0.9 - 0.002 * rank))
        others = len(ACCOUNTS) - 1
        number = 40 if rank == 0 else left * rank // others - left * (rank - 1) // others
        owners += [_environment(account, rank, each) for each in range(number)]
    return [each for each in owners if each.weight]


def _weight(rank: int) -> float:
    """Return an account's part of all images.

    The largest account has almost half, every twelfth account has none, and `LITTLE` has a few.
    """
    if rank == 0:
        return 0.45
    if rank == len(ACCOUNTS) - 1:
        return 0.0005
    return 0 if rank % 12 == 11 else 0.08 / rank


def _environment(account: Scope, rank: int, number: int) -> Owner:
    """Create an environment. It shares nothing, and every seventh environment has no images."""
    turn, kind = divmod(number, len(ENVIRONMENTS))
    name = ENVIRONMENTS[kind] + (f"-{turn + 1}" if turn else "")
    scope = Scope.create(
        level=Level.ENVIRONMENT, parent=account, name=name.title(), path=f"{account.path}/{name}"
    )
    weight = 0.006 / (rank + 1) / (number + 1) ** 0.5
    return Owner(scope, 0 if number % 7 == 3 else weight, 0)


def _people() -> list[Person]:
    """Create the people. Return those who registered images, the most active first.

    Three people can sign in. `SEES_MUCH` is among those who registered images.
    """
    holders = {SCALR_ADMIN: "", SEES_MUCH: MUCH, SEES_LITTLE: LITTLE}
    found = [accounts.create(email, email.partition("@")[0].title(), PASSWORD) for email in holders]
    for person, path in zip(found, holders.values(), strict=True):
        Membership.create(person=person, scope=Scope.at(path), role=Role.ADMIN)
    others = [
        Person.create(
            email=f"{name.lower().replace(' ', '.')}@example.com",
            name=name,
            password_hash=found[0].password_hash,
            session_key=f"{number:032x}",
        )
        for number, name in enumerate(REGISTRARS)
    ]
    return [*others[:8], found[1], *others[8:]]


def _insert(table: str, columns: str, placeholder: str) -> str:
    placeholders = ", ".join([placeholder] * len(columns.split(", ")))
    return f"INSERT INTO {table} ({columns}) VALUES ({placeholders})"  # noqa: S608  constants


def _in_chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    rows, done = iter(rows), 0
    while chunk := list(islice(rows, CHUNK)):
        yield chunk
        done += len(chunk)
        if done % 100_000 == 0:
            say(f"{done:,} images are in")


def _fill_sqlite(url: str, fleet: Fleet) -> None:
    with closing(sqlite3.connect(urlsplit(url).path, isolation_level=None)) as connection:
        run = connection.execute
        for pragma in ("journal_mode = off", "synchronous = off", "cache_size = -500000"):
            run(f"PRAGMA {pragma}")
        run("PRAGMA threads = 2")
        made = run(
            "SELECT type, name, sql FROM sqlite_master "
            "WHERE tbl_name = 'image' AND type IN ('index', 'trigger') AND sql IS NOT NULL"
        ).fetchall()
        for kind, name, _ in made:
            run(f"DROP {kind} {name}")
        insert = _insert("image", COLUMNS, "?")
        for chunk in _in_chunks(fleet.rows()):
            connection.executemany(insert, chunk)
        connection.executemany(_insert("facet_group", GROUP_COLUMNS, "?"), fleet.group_rows())
        say("indexes")
        run("INSERT INTO image_words (image_words) VALUES ('rebuild')")
        # Triggers come last, because they need the unique indexes.
        for _, _, sql in sorted(made):
            run(sql)
        run("INSERT INTO image_words (image_words) VALUES ('optimize')")
        run("ANALYZE")
        run("PRAGMA journal_mode = wal")


def _fill_postgresql(url: str, fleet: Fleet) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        run = connection.execute
        run("SET maintenance_work_mem = '512MB'")
        made = run(
            "SELECT indexname, indexdef FROM pg_indexes "
            "WHERE tablename = 'image' AND indexname <> 'image_pkey'"
        ).fetchall()
        for name, _ in made:
            run(f'DROP INDEX "{name}"'.encode())
        # Also the triggers of foreign keys, whose targets exist.
        run("ALTER TABLE image DISABLE TRIGGER ALL")
        with connection.cursor().copy(f"COPY image ({COLUMNS}) FROM STDIN".encode()) as copy:
            for chunk in _in_chunks(fleet.rows()):
                for row in chunk:
                    copy.write_row(row)
        with connection.cursor() as cursor:
            cursor.executemany(
                _insert("facet_group", GROUP_COLUMNS, "%s").encode(), list(fleet.group_rows())
            )
        say("indexes")
        for _, sql in made:
            run(sql.encode())
        run("ALTER TABLE image ENABLE TRIGGER ALL")
        for table in ("image", "facet_group"):
            highest = f"(SELECT max(id) FROM {table})"  # noqa: S608  constants
            run(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {highest})".encode())
        run("VACUUM ANALYZE")
        run("CHECKPOINT")


def _grouped() -> int:
    """Return how many images are in the right facet group, and check that the groups count them."""
    names = [each.strip() for each in GROUP_COLUMNS.split(",")][1:-1]
    same = " AND ".join(f"facet_group.{name} = image.{name}" for name in names)
    counted, summed = models.database.execute_sql(
        "SELECT (SELECT count(*) FROM image JOIN facet_group ON facet_group.id = image.group_id "  # noqa: S608
        f"AND {same}), (SELECT sum(images) FROM facet_group)"
    ).fetchone()
    assert counted == summed, (counted, summed)
    return int(counted)


def _check(images: int) -> None:
    """Check that the application can read the fleet, and that each image has its facet group."""
    with models.database.connection_context():
        assert Image.select().count() == images == _grouped()
        for image in Image.select().order_by(Image.id.desc()).limit(100):
            assert CLOUDS[image.cloud].parse_image_id(image.cloud_image_id).value
            image_details.from_json(image.details)
            before = image.search_text, image.name_key, image.size_key
            image.derive()
            assert before == (image.search_text, image.name_key, image.size_key)
        say(f"{images:,} images in {FacetGroup.select().count():,} groups")


def say(text: str) -> None:
    """Report progress on standard error. Standard output is for results."""
    print(text, file=sys.stderr, flush=True)
