"""Examples of how to use an image in other tools, filled in with the values of the image."""

from __future__ import annotations

from urllib.parse import quote

from flask import g

from models import Image
from webapp.api.urls import ROOT, image_path, root_url
from webapp.clouds import CLOUDS
from webapp.clouds.details import ImageDetails
from webapp.clouds.errors import InvalidImageId
from webapp.clouds.examples import Example, command, hcl
from webapp.clouds.locators import Locator


def examples_of(image: Image, details: ImageDetails) -> list[Example]:
    """Return examples that read the image from the registry, and examples for the image's cloud.

    If an older version of the application stored a cloud image ID that is invalid now, there are no
    examples for the cloud.
    """
    scope, root = g.scope, root_url()
    url = root + quote(image_path(scope.level, scope.path, image.id))
    show = ("images", "show", str(image.id), "--url", root.removesuffix(ROOT))
    locator = Locator(image.location, image.cloud_image_id, image.compute_resource)
    try:
        cloud_examples = CLOUDS[image.cloud].examples(locator, details.name)
    except InvalidImageId:
        cloud_examples = ()
    return [
        Example("curl", f'curl -H "Authorization: Bearer $TOKEN" {command(url)}'),
        Example("Command line", command(*show, "--scope", scope.path or scope.level)),
        *cloud_examples,
        Example("Terraform, with the registry", _data_source(url)),
    ]


def _data_source(url: str) -> str:
    """Return a Terraform data source that reads the image from the API."""
    return f"""\
variable "images_token" {{
  type      = string
  sensitive = true
}}

data "http" "image" {{
  url = {hcl(url)}
  request_headers = {{
    Authorization = "Bearer ${{var.images_token}}"
  }}
}}

locals {{
  image_id = jsondecode(data.http.image.response_body).cloud_image_id
}}"""
