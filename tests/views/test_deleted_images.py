"""The page of recently deleted images, and the URL of a deleted image."""

from __future__ import annotations

import re
from datetime import timedelta

import models
from models import DeletedImage, Image, Job, now
from tests.conftest import ActorOf, ClientOf, MakeImage
from webapp.images import deletion

IMAGES = "/account/acme/images"
DELETED = f"{IMAGES}/deleted"


def delete(actor_of: ActorOf, *images: Image) -> list[int]:
    """Delete the images one by one, and return their IDs."""
    for image in images:
        deletion.delete(actor_of("account-editor"), image)
    return [image.id for image in images]


def test_deleted_images_are_listed_with_who_and_when(
    client_of: ClientOf, actor_of: ActorOf, make_image: MakeImage
) -> None:
    delete(actor_of, make_image("acme", 1, name="first"), make_image("acme", 2, name="second"))
    page = client_of("account-viewer").get(DELETED).text
    assert re.findall(r'fw-bold">(.*?)<', page) == ["second", "first"]
    assert "account-editor" in page
    assert "Restore selected" not in page
    assert "Restore selected" in client_of("account-editor").get(DELETED).text
    assert (
        "No images were deleted" in client_of("stranger").get("/account/globex/images/deleted").text
    )


def test_deleted_images_can_be_searched_by_name(
    client_of: ClientOf, actor_of: ActorOf, make_image: MakeImage
) -> None:
    delete(actor_of, make_image("acme", 1, name="Alpha"), make_image("acme", 2, name="beta"))
    page = client_of("account-viewer").get(f"{DELETED}?q=ALPHA").text
    assert re.findall(r'fw-bold">(.*?)<', page) == ["Alpha"]
    assert "No deleted images match" in client_of("account-viewer").get(f"{DELETED}?q=x").text


def test_one_image_is_restored_at_once(
    client_of: ClientOf, actor_of: ActorOf, make_image: MakeImage
) -> None:
    first, second = delete(actor_of, make_image("acme", 1), make_image("acme", 2))
    response = client_of("account-editor").post(DELETED, data={"image": [first]})
    assert response.location == f"{IMAGES}/{first}"
    with models.database.connection_context():
        assert Image.get_or_none(id=first)
        assert not Image.get_or_none(id=second)


def test_images_of_several_deletions_are_restored_by_one_job(
    client_of: ClientOf, actor_of: ActorOf, make_image: MakeImage
) -> None:
    ids = delete(actor_of, *(make_image("acme", number) for number in (1, 2, 3)))
    response = client_of("account-editor").post(DELETED, data={"image": ids[:2]})
    assert "/jobs/" in response.location
    with models.database.connection_context():
        assert [image.id for image in Image.select().order_by(Image.id)] == ids[:2]
        assert {job.action for job in Job.select()} == {"image-undelete"}


def test_an_image_of_a_batch_is_restored_alone(
    client_of: ClientOf, actor_of: ActorOf, make_image: MakeImage
) -> None:
    images = [make_image("acme", number) for number in (1, 2)]
    batch = deletion.new_batch()
    for image in images:
        deletion.delete(actor_of("account-editor"), image, batch)
    client_of("account-editor").post(DELETED, data={"image": [images[0].id]})
    with models.database.connection_context():
        assert [image.id for image in Image.select()] == [images[0].id]


def test_images_of_other_scopes_are_never_restored(
    client_of: ClientOf, actor_of: ActorOf, make_image: MakeImage
) -> None:
    ids = delete(actor_of, make_image("acme", 1), make_image("acme", 2))
    client = client_of("stranger")
    response = client.post("/account/globex/images/deleted", data={"image": ids})
    assert response.location == "/account/globex/images/deleted"
    assert "can no longer be restored" in client.get(response.location).text
    with models.database.connection_context():
        assert not Image.select().exists()


def test_images_deleted_long_ago_are_not_listed(
    client_of: ClientOf, actor_of: ActorOf, make_image: MakeImage
) -> None:
    (image_id,) = delete(actor_of, make_image("acme", 1, name="forgotten"))
    with models.database.connection_context():
        DeletedImage.update(deleted_at=now() - timedelta(hours=25)).execute()
    client = client_of("account-editor")
    assert "forgotten" not in client.get(DELETED).text
    assert client.get(f"{IMAGES}/{image_id}").status_code == 404
    client.post(DELETED, data={"image": [image_id]})
    with models.database.connection_context():
        assert not Image.select().exists()


def test_the_url_of_a_deleted_image_offers_to_restore_it(
    client_of: ClientOf, actor_of: ActorOf, make_image: MakeImage
) -> None:
    shared, own = delete(
        actor_of, make_image("acme", 1, shared=True), make_image("acme", 2, shared=False)
    )
    below = "/environment/acme/production/images"
    for who, url, status, may_restore in (
        ("account-editor", f"{IMAGES}/{own}", 410, True),
        ("account-viewer", f"{IMAGES}/{own}", 410, False),
        ("environment-admin", f"{below}/{shared}", 410, False),
        ("environment-admin", f"{below}/{own}", 404, False),
        ("stranger", f"/account/globex/images/{shared}", 404, False),
    ):
        response = client_of(who).get(url)
        assert response.status_code == status, (who, url)
        assert (f'name="image" value="{own}"' in response.text) is may_restore
    client = client_of("account-editor")
    client.post(DELETED, data={"image": [own]})
    assert client.get(f"{IMAGES}/{own}").status_code == 200
