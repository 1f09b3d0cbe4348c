"""For any search text, exports and bulk actions select the images that the list shows, or none.

They select none if a part of the text cannot be parsed. A bulk action skips inherited images.
"""

from __future__ import annotations

import json
import random
import re

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from models import Image, Job, JobRow, Person, Scope, transaction
from tests.conftest import ClientOf
from tests.jobs.threads import process_jobs
from tests.search.random_images import PATHS, TERMS, create_random_image

IMAGES = "/account/acme/images"


@pytest.fixture
def client(client_of: ClientOf) -> FlaskClient:
    """Return the client of an editor of an account that sees random images."""
    chance = random.Random(1)
    with transaction():
        for number in range(80):
            scope = Scope.at(chance.choice(PATHS))
            assert scope is not None
            create_random_image(chance, number, scope, None)
        Person.update(page_size=25).execute()
    return client_of("account-editor")


wrong_terms = st.sampled_from(
    ["status:retird", "cloud:", "clod:aws", "ab", "-", "size:x", "created:2026", "id:a", '"', "os:"]
)
typed = st.lists(st.sampled_from(TERMS) | wrong_terms | st.text(max_size=6), max_size=5).map(
    " ".join
)


def listed_ids(client: FlaskClient, text: str) -> set[int]:
    """Return the IDs of the images on all pages of the list."""
    page, ids = client.get(IMAGES, query_string={"q": text}, follow_redirects=True).text, set()
    while True:
        ids |= {int(number) for number in re.findall(r'href="[^"]*/images/(\d+)"', page)}
        following = re.search(r'<a class="btn"\s+id="page-next"\s+href="([^"]+)"', page)
        if not following:
            return ids
        page = client.get(following[1].replace("&amp;", "&")).text


def exported_ids(client: FlaskClient, text: str) -> set[int]:
    response = client.get(f"{IMAGES}/export.json", query_string={"q": text})
    if response.status_code != 200:
        return set()
    return {record["id"] for record in json.loads(response.text)}


def changed_ids(client: FlaskClient, text: str) -> set[int]:
    """Start a bulk action for all matching images, and return the IDs of its images."""
    JobRow.delete().execute()
    Job.delete().execute()
    fields = {"action": "unshare", "all": "y", "q": text}
    preview = client.post(f"{IMAGES}/bulk", data=fields)
    if found := re.search(r'name="expected" value="([^"]*)"', preview.text):
        response = client.post(f"{IMAGES}/bulk/start", data={**fields, "expected": found[1]})
        assert response.status_code == 303
        process_jobs()
    return {int(row.image_id or 0) for row in JobRow.select()}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(typed)
@example("")
@example("status:retird")
@example("golden " + "x" * 500)
@example("golden\0web")
@example('os:"Haiku R1" agent:no')
def test_exports_and_bulk_actions_touch_only_listed_images(client: FlaskClient, text: str) -> None:
    Image.update(shared=True).execute()
    listed = listed_ids(client, text)
    exported, changed = exported_ids(client, text), changed_ids(client, text)
    assert exported in (listed, set())
    owned = {image.id for image in Image.select().where(Image.scope == Scope.at("acme"))}
    assert changed in (listed & owned, set())
    assert bool(changed) == bool(exported & owned)
