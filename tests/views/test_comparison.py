"""The page that compares an image with another image, or with itself after an earlier check."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from models import AuditEntry, Image, today
from tests.conftest import ActorOf, ClientOf, MakeImage
from tests.views.pages import markup_problems, visible_text
from webapp import audit
from webapp.audit import log
from webapp.images import comparison, editing, life_cycle
from webapp.images.choices import choices_of

URL = "/account/acme/images"


def differences(client: FlaskClient, url: str) -> dict[str, tuple[str, str]]:
    """Return the values of both sides of each differing fact, by its label."""
    page = client.get(url, follow_redirects=True)
    assert page.status_code == 200
    assert not markup_problems(page.text)
    text = re.sub(r"<details.*?</details>", "", page.text.partition("<main")[2], flags=re.DOTALL)
    rows = re.findall(
        r'<th scope="row">(.*?)</th>\s*<td[^>]*>(.*?)</td>\s*<td[^>]*>(.*?)</td>', text, re.DOTALL
    )
    return {visible_text(a): (visible_text(b), visible_text(c)) for a, b, c in rows}


@pytest.fixture
def client(client_of: ClientOf) -> FlaskClient:
    return client_of("account-viewer")


def test_two_images_are_compared_side_by_side(client: FlaskClient, make_image: MakeImage) -> None:
    left = make_image("acme", name="noble")
    right = make_image(
        "", 2, name="jammy", os_version="22.04", size_gb=30, tags=["cis", "team=web"], notes="Hi"
    )
    found = differences(client, f"{URL}/{left.id}/compare?q={right.id}")
    assert found == {
        "Name": ("noble", "jammy"),
        "Cloud image ID": (left.cloud_image_id, right.cloud_image_id),
        "OS version": ("24.04", "22.04"),
        "Size (GB)": ("8", "30"),
        "Tags": ("—", "cis, team=web"),
        "Notes": ("—", "Hi"),
        "Scope": ("Account acme", "Scalr"),
    }
    assert differences(client, f"{URL}/{left.id}/compare?q=jammy") == found
    page = client.get(f"{URL}/{left.id}/compare?q={right.id}").text
    assert f'value="#{right.id} jammy"' in page


def test_each_comparison_has_a_label_of_its_own(
    client: FlaskClient, make_image: MakeImage, actor_of: ActorOf
) -> None:
    image = make_image("acme", name="n" * 60)
    others = [make_image("acme", number, name="noble") for number in (2, 3)]
    life_cycle.deprecate(actor_of("account-editor"), image, today())
    check = AuditEntry.get(action="image.register", record=image.reference)
    start = f"Compare {'n' * 15}… with"
    labels = {f"q={other.id}": f"{start} #{other.id} noble" for other in others}
    labels[""] = f"Compare {'n' * 60}"
    labels[f"check={check.id}"] = f"{start} {check.at:%Y-%m-%d %H:%M} UTC"
    for query, label in labels.items():
        page = client.get(f"{URL}/{image.id}/compare?{query}").text
        assert f'name="label" value="{label}"' in page
        assert f"<title>{label}" in page


def test_an_image_is_compared_with_itself_after_an_earlier_check(
    client: FlaskClient, make_image: MakeImage, actor_of: ActorOf
) -> None:
    image: Image = make_image("acme", name="noble")
    registered = AuditEntry.select().where(AuditEntry.record == image.reference).get()
    actor = actor_of("account-editor")
    for name in ("renamed", "renamed again"):
        image = Image.get_by_id(image.id)
        editing.edit_fields(actor, image, {"name": name, "tags": [name]})
    life_cycle.deprecate(actor, Image.get_by_id(image.id), today(), "old")
    page = visible_text(client.get(f"{URL}/{image.id}/compare"))
    assert "the registration on" in page
    found = differences(client, f"{URL}/{image.id}/compare?check={registered.id}")
    assert found.pop("Deprecated on")[0] == "—"
    assert found == {
        "Name": ("noble", "renamed again"),
        "Tags": ("—", "renamed again"),
        "Reason": ("—", "old"),
    }


def test_tags_of_the_registry_and_of_the_cloud_are_not_mixed_up(
    make_image: MakeImage, actor_of: ActorOf
) -> None:
    image: Image = make_image("acme", tags=["cis"])
    registered = AuditEntry.select().where(AuditEntry.record == image.reference).get()
    actor, changes = actor_of("account-editor"), {"Tags": ("env: test", None)}
    audit.record(actor, image.scope, "image.check", image.name, record=image, changes=changes)
    newer = log.image_entries_since(image, registered.id, 10, show_credentials=True)
    sections = comparison.compare_with_earlier(image, newer, show_credentials=True)
    registration, cloud = sections
    assert not registration.differing
    assert [(row.label, row.left) for row in cloud.differing] == [("Tags", "env: test")]


def test_the_page_says_if_an_earlier_version_is_too_old_to_be_offered(
    client: FlaskClient, make_image: MakeImage, actor_of: ActorOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    image: Image = make_image("acme", name="noble")
    no_version = "There is no earlier version of this image to compare with."
    assert no_version in visible_text(client.get(f"{URL}/{image.id}/compare"))
    for name in ("second", "third", "fourth"):
        image = Image.get_by_id(image.id)
        choices = choices_of(image)
        editing.edit(
            actor_of("account-editor"), image, type(choices)(**{**vars(choices), "name": name})
        )
    monkeypatch.setattr("webapp.views.comparison.MAX_ENTRIES", 3)
    page = client.get(f"{URL}/{image.id}/compare")
    assert "The last 3 changes of this image include no earlier check" in visible_text(page)
    assert no_version not in visible_text(page)
    assert f'href="{URL}/{image.id}/history"' in page.text
    monkeypatch.undo()
    assert "the registration on" in visible_text(client.get(f"{URL}/{image.id}/compare"))


def test_only_visible_images_and_own_checks_can_be_compared(
    client: FlaskClient, make_image: MakeImage
) -> None:
    image = make_image("acme", name="noble")
    hidden = make_image("globex", 2, name="hidden secret")
    for text in (hidden.id, "hidden secret", hidden.cloud_image_id, "no such image", "x" * 3000):
        answer = client.get(f"{URL}/{image.id}/compare", query_string={"q": text})
        assert answer.status_code == 422
        assert "There is no image" in visible_text(answer)
    entry = AuditEntry.select().where(AuditEntry.record == hidden.reference).get()
    for check in (entry.id, 999_999, "-1"):
        answer = client.get(f"{URL}/{image.id}/compare?check={check}")
        assert answer.status_code == (200 if check == "-1" else 404)
    assert client.get(f"{URL}/{hidden.id}/compare").status_code == 404


def test_two_selected_images_are_compared(client_of: ClientOf, make_image: MakeImage) -> None:
    images = [make_image("acme", number, name=f"image {number}") for number in (1, 2, 3)]
    editor = client_of("account-editor")
    ids = [str(image.id) for image in images]
    answer = editor.post(f"{URL}/bulk", data={"image": ids[:2], "compare": "y"})
    assert answer.headers["Location"] == f"{URL}/{ids[0]}/compare?q={ids[1]}"
    for selected in ([], ids[:1], ids):
        data = {"image": selected, "compare": "y", "q": "image"}
        answer = editor.post(f"{URL}/bulk", data=data, follow_redirects=True)
        assert answer.request.path == URL
        assert "Select exactly two images to compare." in visible_text(answer)
        checked = re.findall(r'name="image" value="(\d+)"[^>]* checked>', answer.text)
        assert sorted(checked) == selected
