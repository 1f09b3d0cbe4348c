"""Two people register the same image at the same moment, each in another spelling."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest

import models
from models import Image, Scope
from tests.conftest import choices, details
from webapp.access import Actor
from webapp.clouds.locators import Locator
from webapp.images import identity, registration
from webapp.images.identity import AlreadyRegistered

UUID = "6f2b8c1e-1a3d-4e5f-8a9b-0c1d2e3f4a5b"


@pytest.mark.parametrize(
    ("cloud", "first", "second"),
    [
        ("openstack", Locator("RegionOne", UUID), Locator("regionone", UUID)),
        ("openstack", Locator("Région", UUID), Locator("RE\u0301GION", UUID)),
        ("vmware", Locator("Labs/DC0", UUID), Locator("labs//dc0", UUID)),
        ("vmware", Locator("R%26D", UUID), Locator("r&d", UUID)),
        ("vmware", Locator("DC0", UUID, "DC0_C0"), Locator("dc0", UUID, "dc0_c0")),
        ("vmware", Locator("DC0", UUID, "Cluster%2fA"), Locator("DC0", UUID, "cluster%2FA")),
    ],
)
def test_the_database_refuses_the_same_image_in_another_spelling(
    editor: Actor,
    acme: Scope,
    monkeypatch: pytest.MonkeyPatch,
    cloud: str,
    first: Locator,
    second: Locator,
) -> None:
    """Both people pass the check that the image is not registered before either of them saves."""
    both_checked = threading.Barrier(2, timeout=10)
    check = identity.require_unregistered

    def check_then_wait(*args: Scope) -> None:
        check(*args)  # type: ignore[arg-type]
        both_checked.wait()

    monkeypatch.setattr(identity, "require_unregistered", check_then_wait)
    # On SQLite, the transaction would make the second person wait before the check.
    monkeypatch.setattr(identity, "transaction", nullcontext)

    def register(locator: Locator) -> Image | AlreadyRegistered:
        with models.database.connection_context():
            try:
                return registration.register_unverified(
                    editor, acme, cloud, locator, choices(), details=details()
                )
            except AlreadyRegistered as error:
                return error

    models.database.close()
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(register, (first, second)))
    models.database.connect(reuse_if_open=True)
    (image,) = Image.select()
    refusals = [each for each in results if isinstance(each, AlreadyRegistered)]
    assert [refusal.image for refusal in refusals] == [image]
