"""Migrating down and up again preserves the images, and searches find them."""

from __future__ import annotations

from peewee import fn
from playhouse.migrations import Runner

import models
from models import FacetGroup, Image
from tests.conftest import ActorOf, MakeImage, ScopeAt
from webapp import database
from webapp.search import catalogue
from webapp.search.catalogue import Listing
from webapp.search.language import parse


def test_images_can_be_found_after_migrating_down_and_up(
    make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt
) -> None:
    make_image("", 1, name="Ünïcode golden")
    make_image("acme", 2, name="plain")
    runner = Runner(models.database.obj, str(database.MIGRATIONS))
    runner.down("0002_catalogue")
    assert "search_text" not in {column.name for column in models.database.get_columns("image")}
    assert "facet_group" not in models.database.get_tables()
    assert runner.up()[0] == "0002_catalogue"
    assert FacetGroup.select(fn.SUM(FacetGroup.images)).scalar() == 2
    assert Image.select().where(Image.group_id == 0).count() == 0
    for text, count in (("ünï", 1), ("owner:here", 1), ("ami-0000", 2)):
        page = catalogue.find_page(actor_of("scalr-admin"), scope("acme"), Listing(parse(text)))
        assert (page.count, len(page.images)) == (count, count)
