"""The form that chooses an image: what its lists offer."""

from __future__ import annotations

from werkzeug.datastructures import MultiDict

from webapp.clouds import CLOUDS
from webapp.clouds.locators import ListedImage
from webapp.forms.new_image import SelectImageForm


def select_form(**arguments: str) -> SelectImageForm:
    return SelectImageForm.for_cloud(CLOUDS["vmware"], [], MultiDict(arguments))


def test_an_empty_list_of_images_says_why_it_is_empty() -> None:
    assert select_form()["image_id"].choices == {"": "Choose a location first"}
    form = select_form(location="DC0")
    assert form["image_id"].choices == {"": "Choose…"}
    form.offer_images([])
    assert form["image_id"].choices == {"": "No images at this location"}
    form.offer_images([ListedImage("1", "golden")])
    assert form["image_id"].choices == {"": "Choose…", "1": "golden"}
