"""Names of credentials: people who may not list credentials see them nowhere."""

from __future__ import annotations

import pytest

from models import AuditEntry, Image, Scope, transaction
from tests.conftest import ClientOf, MakeImage
from webapp import audit

NAME = "name-of-the-credentials"


@pytest.mark.parametrize(("who", "is_shown"), [("account-viewer", False), ("account-editor", True)])
def test_only_people_who_may_list_credentials_see_their_names(
    client_of: ClientOf, make_image: MakeImage, who: str, is_shown: bool
) -> None:
    image, other = make_image("acme"), make_image("acme", number=2)
    Image.update(credentials_name=NAME).where(Image.id == image.id).execute()
    with transaction():
        for action, field in (("image.check", "Credentials"), ("image.undelete", "credentials")):
            changes = {field: (NAME, "another")}
            audit.record(None, Scope.at("acme"), action, image.name, record=image, changes=changes)
    entry = AuditEntry.get(AuditEntry.action == "image.check")
    registration = AuditEntry.get(AuditEntry.record == image.reference)
    client, page = client_of(who), f"/account/acme/images/{image.id}"
    for url in (
        page,
        f"{page}/history",
        f"{page}/history/{entry.id}",
        f"{page}/compare?q={other.id}",
        f"{page}/compare?check={registration.id}",
        "/account/acme/images/export.csv",
        "/account/acme/images/export.json",
    ):
        answer = client.get(url)
        assert answer.status_code == 200, url
        assert (NAME in answer.text) is is_shown, url
