"""Examples of how to use an image of Compute Engine in tools such as Terraform."""

from __future__ import annotations

from webapp.clouds.examples import Example, block, command, hcl, packer, task, yaml
from webapp.clouds.gce.ids import parse_reference


def examples(image_id: str) -> tuple[Example, ...]:
    """Return the examples for an image, or for an image family."""
    image = parse_reference(image_id)
    kind = "family" if image.is_family else "name"
    source = {kind: hcl(image.name), "project": hcl(image.project)}
    builder_kind = "source_image_family" if image.is_family else "source_image"
    verb = "describe-from-family" if image.is_family else "describe"
    words = ("gcloud", "compute", "images", verb, image.name, "--project", image.project)
    return (
        Example("Terraform", block('data "google_compute_image" "image"', **source)),
        Example(
            "Packer",
            block(
                'source "googlecompute" "image"',
                **{builder_kind: packer(image.name)},
                source_image_project_id=[packer(image.project)],
                project_id='"…"',
                zone='"…"',
                ssh_username='"…"',
            ),
        ),
        Example(
            "Ansible",
            task(
                "Create an instance",
                "google.cloud.gcp_compute_instance",
                "name: …",
                "zone: …",
                "disks:",
                "  - boot: true",
                "    initialize_params:",
                f"      source_image: {yaml(f'projects/{image}')}",
            ),
        ),
        Example("gcloud", command(*words)),
    )
