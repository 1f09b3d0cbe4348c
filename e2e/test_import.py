"""Export and import."""

from __future__ import annotations

import csv
import io
import json

import pytest
from playwright.sync_api import Page, expect

from e2e.conftest import PHONE, SignIn
from e2e.sandbox_amis import DEBIAN, NOBLE
from e2e.test_accessibility import violations

ACME = "/account/acme"
IMPORT = f"{ACME}/images/import"
GONE = "ami-00000000000000bad"


def manifest() -> str:
    """Return a Packer manifest with an AMI in two regions and an AMI that no longer exists."""
    build = {"builder_type": "amazon-ebs", "files": None, "packer_run_uuid": "r"}
    artifacts = (f"{NOBLE.location}:{NOBLE.id},{DEBIAN.location}:{DEBIAN.id}", f"us-east-1:{GONE}")
    builds = [
        {**build, "name": f"build {number}", "build_time": number, "artifact_id": artifact}
        for number, artifact in enumerate(artifacts)
    ]
    return json.dumps({"builds": builds, "last_run_uuid": "r"})


def apply_import(page: Page, images: str) -> None:
    page.get_by_role("button", name=f"Import {images}").click()
    expect(page.locator("#main")).to_contain_text("Done")


def exported_rows(page: Page) -> list[dict[str, str]]:
    answer = page.request.get(f"{ACME}/images/export.csv?q=owner%3Ahere")
    return list(csv.DictReader(io.StringIO(answer.text().lstrip("\ufeff"), newline="")))


@pytest.mark.firefox
def test_importing_a_packer_manifest_and_an_edited_export(sign_in: SignIn) -> None:
    page = sign_in("account")
    page.goto(IMPORT)
    page.get_by_label("Or paste its content").fill(manifest())
    page.get_by_role("button", name="Review import").click()
    expect(page.locator("#planned-lines tbody tr")).to_have_count(3)
    expect(page.locator("#planned-lines tbody tr").first).to_contain_text(GONE)
    apply_import(page, "2 images")
    rows = exported_rows(page)
    imported = [row for row in rows if row["cloud_image_id"] in {NOBLE.id, DEBIAN.id}]
    assert [row["verified"] for row in imported] == ["yes", "yes"]
    assert GONE not in {row["cloud_image_id"] for row in rows}

    for row in imported:
        row["name"], row["agent_installed"] = f"=from a sheet {row['os_family']}", "yes"
    sheet = io.StringIO(newline="")
    writer = csv.DictWriter(sheet, imported[0], delimiter=";")
    writer.writeheader()
    writer.writerows(imported)
    page.goto(IMPORT)
    file = {"name": "images.csv", "mimeType": "text/csv", "buffer": sheet.getvalue().encode()}
    page.get_by_label("File", exact=True).set_input_files(file)  # type: ignore[arg-type]
    page.get_by_role("button", name="Review import").click()
    expect(page.locator("#planned-lines")).to_contain_text("=from a sheet debian")
    apply_import(page, "2 images")
    names = {row["name"] for row in exported_rows(page)}
    assert {"'=from a sheet ubuntu", "'=from a sheet debian"} <= names


def test_values_that_a_file_leaves_out_are_entered_once(sign_in: SignIn) -> None:
    """The page is accessible and fits a phone, and the keyboard suffices."""
    page = sign_in("account", color_scheme="light")
    build = {"files": None, "packer_run_uuid": "r", "build_time": 1}
    builds = [
        {**build, "name": "web", "builder_type": "googlecompute", "artifact_id": "debian-12-web"},
        {**build, "name": "db", "builder_type": "googlecompute", "artifact_id": "db"},
    ]
    page.goto(IMPORT)
    page.get_by_label("Or paste its content").fill(json.dumps({"builds": builds}))
    page.get_by_label("Register without a look-up").check()
    page.get_by_role("button", name="Review import").click()
    expect(page.get_by_role("heading", name="Complete the file")).to_be_visible()
    page.get_by_label("Operating system").fill("Ubuntu")
    page.get_by_label("Project ID").fill("acme-images")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Enter a family and a version")).to_be_visible()
    expect(page.get_by_label("Project ID")).to_have_value("acme-images")
    assert violations(page) == set()
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.get_by_label("Operating system").fill("Ubuntu 24.04")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Import 2 images")).to_be_visible()
    expect(page.get_by_label("Project ID")).to_have_value("acme-images")


def test_import_pages_are_accessible_and_fit_a_phone(sign_in: SignIn) -> None:
    page = sign_in("account", color_scheme="light")
    registered = f"aws,us-east-1,{NOBLE.id},renamed,1,web"
    new = f"gce,,acme-images/global/images/{'long-' * 11}name,debian-12,2,db"
    wrong = "nimbus,us-east-1,x,y,3,"
    for text in (
        "nothing",
        f"cloud,location,cloud_image_id,name,ID,Team\n{registered}\n{new}\n{wrong}",
    ):
        page.goto(IMPORT)
        page.get_by_label("Or paste its content").fill(text)
        page.get_by_label("Register without a look-up").check()
        page.get_by_role("button", name="Review import").click()
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        for summary in page.locator("#planned-lines summary").all():
            summary.click()
        assert violations(page) == set()
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.get_by_role("link", name="Error 1").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#planned-lines tbody tr")).to_have_count(1)
    expect(page.get_by_role("link", name="Error 1")).to_have_attribute("aria-current", "true")
    expect(page.get_by_role("link", name="Error 1")).to_be_focused()
    assert page.url.endswith("?show=error")


def test_importing_without_javascript(sign_in: SignIn) -> None:
    page = sign_in("account", java_script_enabled=False, viewport=PHONE)
    page.goto(IMPORT)
    page.get_by_label("Or paste its content").fill("name\nnoble\n")
    page.get_by_label("Register without a look-up").check()
    page.get_by_role("button", name="Review import").click()
    expect(page.get_by_text("The column cloud is missing")).to_be_visible()
    expect(page.get_by_label("Or paste its content")).to_have_value("name\nnoble\n")
    expect(page.get_by_label("Register without a look-up")).to_be_checked()
    text = f"cloud,location,cloud_image_id,name\naws,us-east-1,{GONE},debian-12-db\nnimbus,a,b,c\n"
    page.get_by_label("Or paste its content").fill(text)
    page.get_by_role("button", name="Review import").click()
    expect(page.get_by_text("1 line has an error and will be skipped")).to_be_visible()
    page.get_by_role("link", name="New 1").click()
    expect(page.locator("#planned-lines tbody tr")).to_have_count(1)
    apply_import(page, "1 image")
    imported = [row for row in exported_rows(page) if row["cloud_image_id"] == GONE]
    assert [(row["verified"], row["os_family"]) for row in imported] == [("no", "debian")]
