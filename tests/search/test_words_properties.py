"""A word finds exactly the images whose name or description contains it, in every script.

A word of one or two characters must contain a Chinese, Japanese or Korean character or an emoji.
"""

from __future__ import annotations

import unicodedata

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models import Image, Scope, now, transaction
from tests.conftest import ActorOf, ScopeAt
from webapp.access import Actor
from webapp.search import catalogue, planner
from webapp.search.catalogue import Listing
from webapp.search.parser import parse
from webapp.search.syntax import quote

CHARACTERS = "ab1-. 映像本の用サーｻﾊﾞ서버你🔥ΣσςΑßİIıée\u0301ЯйกาَبＡａ_%\\'"
TEXTS = st.text(CHARACTERS, min_size=0, max_size=6)


@pytest.fixture(params=["few", "many"])
def actor(request: pytest.FixtureRequest, db: Flask, actor_of: ActorOf) -> Actor:
    actor = actor_of("scalr-admin")
    if request.param == "many":
        monkeypatch = request.getfixturevalue("monkeypatch")
        for name in ("FEW", "SAMPLE", "COUNT_LIMIT"):
            monkeypatch.setattr(planner, name, 2)
    return actor


def create_images(scope: Scope, texts: list[tuple[str, str]]) -> None:
    with transaction():
        Image.delete().execute()
        for number, (name, description) in enumerate(texts):
            Image.create(
                scope=scope,
                cloud="aws",
                location="us-east-1",
                cloud_image_id=f"ami-{number:017x}",
                name=f"00{name}",
                os_family="ubuntu",
                os_version="24.04",
                agent_installed=True,
                shared=False,
                description=description,
                state="available",
                details={},
                credentials_name="",
                registered_by_name="",
                registered_at=now(),
            )


def normalized(text: str) -> str:
    lower = "".join(character.lower() for character in unicodedata.normalize("NFC", text))
    return lower.replace("ς", "σ")


def can_be_short(word: str) -> bool:
    return any(
        not character.isascii() and unicodedata.east_asian_width(character) in "WFH"
        for character in word
    )


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=st.lists(st.tuples(TEXTS, TEXTS), min_size=3, max_size=8), data=st.data())
def test_a_word_finds_exactly_the_images_that_contain_it(
    actor: Actor, scope: ScopeAt, texts: list[tuple[str, str]], data: st.DataObject
) -> None:
    acme = scope("acme")
    create_images(acme, texts)
    whole = "".join(name + description for name, description in texts)
    starts = st.integers(0, max(len(whole) - 1, 0))
    parts = st.tuples(starts, st.integers(1, 4)).map(lambda part: whole[part[0] : sum(part)])
    for typed in data.draw(st.lists(parts | TEXTS, min_size=5, max_size=5)):
        word = unicodedata.normalize("NFC", typed).strip()
        query = parse(quote(word, always=True))
        if len(word) < 3 and not can_be_short(word):
            assert query.problems
            continue
        assert not query.problems
        expected = {
            image.id
            for image in Image.select()
            if any(normalized(word) in normalized(text) for text in (image.name, image.description))
        }
        found: list[int] = []
        after = ""
        while True:
            listing = Listing(query, size=2, after=after)
            page = catalogue.find_page(actor, acme, listing)
            found += [image.id for image in page.images]
            if not page.next:
                break
            after = page.next
        assert len(found) == catalogue.count_images(actor, acme, query) == len(expected), word
        assert set(found) == expected, word


def test_a_separator_of_the_index_finds_nothing(actor: Actor, scope: ScopeAt) -> None:
    create_images(scope("acme"), [("像映像", "")])
    for word in ("像\x1f映", "\x1f映像\x1f", "\x1f像"):
        query = parse(f'"{word}"')
        found = catalogue.find_page(actor, scope("acme"), Listing(query)).images
        assert len(found) == (0 if word[1:] == "\x1f映" else 1), word
