"""Examples of how to use an image of Glance in tools such as Terraform."""

from __future__ import annotations

from webapp.clouds.examples import Example, block, command, hcl, packer, task, yaml


def examples(region: str, image_id: str) -> tuple[Example, ...]:
    """Return the examples for the image with this UUID."""
    return (
        Example(
            "Terraform",
            block(
                'resource "openstack_compute_instance_v2" "example"',
                name='"…"',
                region=hcl(region),
                image_id=hcl(image_id),
                flavor_name='"…"',
            ),
        ),
        Example(
            "Packer",
            block(
                'source "openstack" "image"',
                region=packer(region),
                source_image=packer(image_id),
                image_name='"…"',
                flavor='"…"',
                ssh_username='"…"',
            ),
        ),
        Example(
            "Ansible",
            task(
                "Start a server",
                "openstack.cloud.server",
                "name: …",
                f"region_name: {yaml(region)}",
                f"image: {yaml(image_id)}",
                "flavor: …",
            ),
        ),
        Example(
            "OpenStack CLI",
            command("openstack", "--os-region-name", region, "image", "show", image_id),
        ),
    )
