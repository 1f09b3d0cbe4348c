"""The tokens by which searches find the tags of images, and the triggers that count them."""

from __future__ import annotations

import pytest

from models import ImageTag, Scope, TagCount
from schema.tags import labels_in, tag_index, token_text
from tests.conftest import ActorOf, MakeImage, ScopeAt, reload
from webapp.images import deletion, sharing

ODD_TAGS = [
    'quo"te',
    "back\\slash",
    "b\\",
    "per%cent",
    "o'clock",
    "映像",
    "ÄÖ=ß",
    "a=b=c",
    "[x]={y}",
]


def counted(path: str = "acme") -> dict[str, int]:
    rows = TagCount.select().where(TagCount.scope_id == Scope.get(Scope.path == path).id)
    return {row.label: row.images for row in rows}


def test_every_token_of_a_tag_is_found_in_its_index_and_no_other() -> None:
    index = tag_index(["team=Web", "cis"])
    assert [token for token in ("team", "team=web", "cis") if token_text(token) in index] == [
        "team",
        "team=web",
        "cis",
    ]
    assert not any(token_text(token) in index for token in ("tea", "web", "Web", "team=", "ci"))


def test_a_tag_without_a_value_is_the_label_of_its_key() -> None:
    assert labels_in(tag_index(["Team", "team=web"])) == {"team": "Team", "team=web": "team=web"}


def test_the_database_counts_the_images_of_each_token(make_image: MakeImage) -> None:
    make_image("acme", 1, tags=["team=web", "cis"])
    second = make_image("acme", 2, tags=["TEAM=db"])
    assert counted() == {"cis": 1, "team=": 2, "team=web": 1, "TEAM=db": 1}
    second.tags = ["cis"]
    second.save()
    assert counted() == {"cis": 2, "team=": 1, "team=web": 1}
    second.delete_instance()
    assert counted() == {"cis": 1, "team=": 1, "team=web": 1}
    assert ImageTag.select().count() == 3


def test_odd_characters_are_counted_too(make_image: MakeImage) -> None:
    image = make_image("acme", tags=ODD_TAGS)
    assert set(ODD_TAGS) < set(counted())
    assert reload(image).tags == sorted(ODD_TAGS, key=str.lower)
    image.delete_instance()
    assert TagCount.select().count() == ImageTag.select().count() == 0


def test_tags_follow_an_image_that_is_hidden_promoted_deleted_and_restored(
    make_image: MakeImage, actor_of: ActorOf, scope: ScopeAt
) -> None:
    image = make_image("acme", tags=["cis"])
    admin = actor_of("scalr-admin")
    sharing.set_shared(admin, image, shared=False)
    assert [(row.shared, row.images) for row in TagCount.select()] == [(False, 1)]
    sharing.promote(admin, image)
    assert (counted(), counted("")) == ({}, {"cis": 1})
    batch = deletion.delete(admin, reload(image))
    assert counted("") == {}
    deletion.restore_batch(admin, scope(""), batch)
    assert counted("") == {"cis": 1}
    assert reload(image).tags == ["cis"]


def test_an_image_can_lose_all_its_tags(make_image: MakeImage) -> None:
    image = make_image("acme", tags=["cis"])
    image.tags = []
    image.save()
    assert TagCount.select().count() == ImageTag.select().count() == 0


@pytest.mark.parametrize("path", ["acme", "acme/production"])
def test_deleting_a_scope_removes_its_tags(make_image: MakeImage, path: str) -> None:
    make_image(path, tags=["cis"])
    Scope.get(Scope.path == path).delete_instance()
    assert ImageTag.select().count() == TagCount.select().count() == 0
