"""A real Packer builds an AMI in the sandbox AWS, and its post-processor imports the manifest."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.ec2.models import ec2_backends

from sandbox import aws
from tests.cli.registry import Command, Registry, registry

REGION = "us-east-1"
PACKER = "packer"


@pytest.fixture
def packer() -> str:
    """Return the path of Packer. Without Packer, skip the test, or fail it in CI."""
    found = shutil.which(PACKER)
    if found is None:
        reason = "Packer is missing. Install it, for example with `apt-get install packer`."
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture
def endpoint() -> Iterator[str]:
    with aws.start() as url:
        yield url
        aws.fill()  # Removes what Packer built.


@pytest.fixture
def catalog(tmp_path: Path, endpoint: str) -> Iterator[Registry]:
    with registry(tmp_path, endpoint) as found:
        yield found


def template(endpoint: str, name: str) -> dict[str, Any]:
    """Return a template that builds an AMI, and imports it after the manifest was written."""
    credentials = aws.credentials(endpoint)
    return {
        "builders": [
            {
                "type": "amazon-ebs",
                "name": "web",
                "access_key": credentials["access_key_id"],
                "secret_key": credentials["secret_access_key"],
                "custom_endpoint_ec2": endpoint,
                "region": REGION,
                "skip_credential_validation": True,
                "skip_metadata_api_check": True,
                "skip_region_validation": True,
                "source_ami": aws.NOBLE.id_in(REGION),
                "instance_type": "t3.micro",
                "ami_name": name,
                "communicator": "none",
            }
        ],
        "post-processors": [
            [
                {
                    "type": "manifest",
                    "output": "packer-manifest.json",
                    "custom_data": {"os_family": "ubuntu", "os_version": "24.04", "tags": "ci"},
                },
                {"type": "shell-local", "inline": ["images import packer-manifest.json --wait"]},
            ]
        ],
    }


def build(packer: str, images: Command, content: dict[str, Any]) -> str:
    """Run `packer build`, and return its output."""
    file = images.home / "template.json"
    file.write_text(json.dumps(content))
    environ = images.full_environ(
        AWS_POLL_DELAY_SECONDS="1", CHECKPOINT_DISABLE="1", PACKER_NO_COLOR="1"
    )
    environ["PATH"] = f"{images.path.parent}:{environ['PATH']}"
    done = subprocess.run(
        [packer, "build", "-color=false", str(file)],
        cwd=images.home,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_packer_builds_an_ami_and_imports_it(
    packer: str, endpoint: str, images: Command, catalog: Registry
) -> None:
    output = build(packer, images, template(endpoint, "web-1"))
    assert "created" in output
    manifest = json.loads((images.home / "packer-manifest.json").read_text())
    region, ami = manifest["builds"][0]["artifact_id"].split(":")
    assert ec2_backends[aws.ACCOUNT][REGION].amis[ami].name == "web-1"
    (image,) = json.loads(images.succeed("list", "cloud:aws tag:ci", "-o", "json"))
    assert (image["cloud_image_id"], image["location"]) == (ami, region)
    assert (image["name"], image["os_version"], image["state"]) == ("web", "24.04", "available")
    again = images.run("import", images.home / "packer-manifest.json", "--wait")
    assert again.code == 0, again.errors
    assert "1 unchanged" in again.output
    build(packer, images, template(endpoint, "web-2"))
    assert catalog.image_count() == 2
