"""The numbers of the Overview page."""

from __future__ import annotations

from typing import Annotated

from flask import g
from msgspec import Meta, Struct

from webapp.access import Right
from webapp.api.operations import Answer, operation
from webapp.search import overview

TAG = "Overview"


class Bar(Struct):
    """How many images belong to a group, such as a cloud, and the search that finds them."""

    label: str
    images: int
    is_exact: Annotated[
        bool, Meta(description="False if counting stopped at a limit, so there are more images.")
    ]
    q: Annotated[str, Meta(description="The search that finds these images.")]


class Chart(Struct):
    """A group of numbers, for example the number of images in each cloud."""

    title: str
    bars: list[Bar]


class Overview(Struct):
    """The number of all images that a scope sees, and how they are distributed."""

    total: int
    charts: list[Chart]


@operation("GET /overview", tag=TAG, right=Right.VIEW_IMAGES)
def get_overview() -> Answer[Overview]:
    """Get the numbers of images by cloud, operating system, status and so on."""
    numbers = overview.load_overview(g.actor, g.scope)
    charts = [
        Chart(each.title, [Bar(bar.label, bar.images, bar.exact, bar.search) for bar in each.bars])
        for each in numbers.charts
    ]
    return Answer(Overview(numbers.total, charts))
