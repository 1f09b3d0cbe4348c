"""Examples of how to use a template of VMware vSphere in tools such as Terraform."""

from __future__ import annotations

from webapp.clouds.examples import Example, block, command, hcl, packer, task, yaml
from webapp.clouds.locators import Locator


def examples(locator: Locator, name: str) -> tuple[Example, ...]:
    """Return the examples for a template. `name` is its name, or '' if it is unknown."""
    datacenter, uuid = locator.location, locator.image_id
    find = ("find", f"/{datacenter.strip('/')}", "-type", "m", "-config.instanceUuid", uuid)
    examples = [
        Example(
            "Ansible",
            task(
                "Read the template",
                "community.vmware.vmware_guest_info",
                f"datacenter: {yaml(datacenter)}",
                f"uuid: {yaml(uuid)}",
                "use_instance_uuid: true",
            ),
        ),
        Example("govc", command("govc", *find)),
    ]
    if not name:
        return tuple(examples)
    template_block = block(
        'data "vsphere_virtual_machine" "template"',
        name=hcl(name),
        datacenter_id="data.vsphere_datacenter.datacenter.id",
    )
    datacenter_block = block('data "vsphere_datacenter" "datacenter"', name=hcl(datacenter))
    builder = {
        "datacenter": packer(datacenter),
        "template": packer(name),
        "vm_name": '"…"',
    }
    if locator.compute_resource:
        builder["cluster"] = packer(locator.compute_resource)
    return (
        Example("Terraform", f"{datacenter_block}\n\n{template_block}"),
        Example("Packer", block('source "vsphere-clone" "image"', **builder)),
        *examples,
    )
