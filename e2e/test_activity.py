"""The Activity page: the progress of a running job, which a person can watch."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from e2e.conftest import SignIn, Site, one_server, register
from e2e.sandbox_amis import DEBIAN, NOBLE
from e2e.test_accessibility import violations
from e2e.test_bulk import open_preview
from sandbox import faulty

ACME = "/account/acme"
RETRY_MS = 60_000


class Cloud:
    """The sandbox's AWS behind a gate. While the gate is closed, requests for DEBIAN wait."""

    def __init__(self, upstream: str) -> None:
        self.is_open = threading.Event()
        self.is_open.set()
        self._forward = faulty.forwarding(upstream)

    def behave(self, request: faulty.Request) -> faulty.Answer | None:
        if DEBIAN.id.encode() in request.body:
            self.is_open.wait()
        return self._forward(request)


@pytest.fixture(scope="module")
def aws(sandbox: Path) -> Iterator[tuple[Cloud, Path]]:
    """Yield the cloud, and the path of a sandbox.json that contains its URL."""
    content = json.loads(sandbox.read_text())
    values = next(row["values"] for row in content["credentials"] if row["cloud"] == "aws")
    cloud = Cloud(values["endpoint_url"])
    with faulty.serve(cloud.behave) as url:
        values["endpoint_url"] = url
        path = sandbox.with_name("sandbox-behind-a-gate.json")
        path.write_text(json.dumps(content))
        yield cloud, path
        cloud.is_open.set()


@pytest.fixture(scope="module")
def running_site(
    aws: tuple[Cloud, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    with one_server(tmp_path_factory.mktemp("site"), aws[1]) as site:
        yield site


def test_the_progress_of_a_running_job_is_shown(sign_in: SignIn, aws: tuple[Cloud, Path]) -> None:
    """The page is not loaded again: HTMX replaces the list of jobs."""
    cloud, _path = aws
    page = sign_in("account", color_scheme="light")
    register(page, ACME, NOBLE.id, NOBLE.location, name="a-noble")
    register(page, ACME, DEBIAN.id, DEBIAN.location, name="b-debian")
    page.goto(f"{ACME}/images")
    page.get_by_label("Select all images on this page").check()
    open_preview(page, "Check now")
    cloud.is_open.clear()
    page.get_by_role("button", name="Check 2 images now").click()
    expect(page.locator("#job")).to_be_visible()
    page.goto("/activity")
    job = page.locator("#jobs").get_by_role("row", name="Check 2 images now")
    expect(job).to_contain_text("Running")
    expect(job).to_contain_text("1 of 2 processed")
    expect(job.get_by_role("progressbar")).to_have_js_property("value", 1)
    assert not violations(page)
    job.get_by_role("link", name="Stop").focus()
    with page.expect_response("**/activity?running=*"):
        pass
    expect(job.get_by_role("link", name="Stop")).to_be_focused()
    cloud.is_open.set()
    # Meanwhile, the job may have postponed the check of the second image until its next attempt.
    expect(job).to_contain_text("Done", timeout=RETRY_MS)
    expect(job).to_contain_text("2 of 2 processed")
    expect(job.get_by_role("progressbar")).to_have_count(0)
    expect(page.locator("#job-news")).to_have_text("Check 2 images now: Done.")
