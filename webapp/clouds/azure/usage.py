"""Examples of how to use an Azure image in tools such as Terraform."""

from __future__ import annotations

from webapp.clouds.azure.ids import (
    GalleryVersion,
    ManagedImage,
    MarketplaceImage,
    SharedVersion,
    Sharing,
    parse_canonical,
)
from webapp.clouds.examples import Example, block, command, hcl, packer, task, yaml

VIRTUAL_MACHINE = 'resource "azurerm_linux_virtual_machine" "example"'
LOCATION = "LOCATION"
"""The placeholder for a region, if the registry does not know in which region the image is used."""


def examples(location: str, image_id: str) -> tuple[Example, ...]:
    """Return the examples for an image of any kind. `location` may be ''."""
    image = parse_canonical(image_id)
    return (
        Example("Terraform", _terraform(image, image_id)),
        Example("Packer", _packer(image, image_id)),
        Example("Ansible", _ansible(image, image_id)),
        Example("Azure CLI", _command(image, image_id, location or LOCATION)),
    )


def _parts(image: MarketplaceImage) -> dict[str, str]:
    return {
        "publisher": image.publisher,
        "offer": image.offer,
        "sku": image.sku,
        "version": image.version,
    }


def _terraform(image: object, image_id: str) -> str:
    if isinstance(image, MarketplaceImage):
        values = {name: hcl(text) for name, text in _parts(image).items()}
        reference = block("source_image_reference", **values).replace("\n", "\n  ")
        return f"{VIRTUAL_MACHINE} {{\n  {reference}\n}}"
    return block(VIRTUAL_MACHINE, source_image_id=hcl(image_id))


def _packer(image: object, image_id: str) -> str:
    header = 'source "azure-arm" "image"'
    if isinstance(image, MarketplaceImage):
        values = {f"image_{name}": packer(text) for name, text in _parts(image).items()}
        return block(header, **values)
    if isinstance(image, ManagedImage):
        return block(
            header,
            custom_managed_image_resource_group_name=packer(image.group),
            custom_managed_image_name=packer(image.name),
        )
    if isinstance(image, GalleryVersion):
        gallery = block(
            "shared_image_gallery",
            subscription=packer(image.subscription),
            resource_group=packer(image.group),
            gallery_name=packer(image.gallery),
            image_name=packer(image.definition),
            image_version=packer(image.version),
        )
    else:
        is_community = isinstance(image, SharedVersion) and image.sharing is Sharing.COMMUNITY
        name = "community_gallery_image_id" if is_community else "direct_shared_gallery_image_id"
        gallery = block("shared_image_gallery", **{name: packer(image_id)})
    nested = gallery.replace("\n", "\n  ")
    return f"{header} {{\n  {nested}\n}}"


def _ansible(image: object, image_id: str) -> str:
    parts = _parts(image) if isinstance(image, MarketplaceImage) else {"id": image_id}
    return task(
        "Create a virtual machine",
        "azure.azcollection.azure_rm_virtualmachine",
        "resource_group: …",
        "name: …",
        "image:",
        *(f"  {name}: {yaml(text)}" for name, text in parts.items()),
    )


def _command(image: object, image_id: str, location: str) -> str:
    if isinstance(image, MarketplaceImage):
        urn = ":".join(_parts(image).values())
        return command("az", "vm", "image", "show", "--location", location, "--urn", urn)
    if isinstance(image, SharedVersion):
        is_community = image.sharing is Sharing.COMMUNITY
        return command(
            *("az", "sig", "image-version"),
            "show-community" if is_community else "show-shared",
            *("--location", location),
            "--public-gallery-name" if is_community else "--gallery-unique-name",
            image.gallery,
            *("--gallery-image-definition", image.definition),
            *("--gallery-image-version", image.version),
        )
    return command("az", "resource", "show", "--ids", image_id)
