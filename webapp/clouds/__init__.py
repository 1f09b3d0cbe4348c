"""The table of all clouds. Adding one: a line here, an adapter beside this file, a form fragment
if its fields need one, a test file."""

from __future__ import annotations

from webapp.clouds.aws import Aws
from webapp.clouds.base import Cloud

CLOUDS: dict[str, Cloud] = {cloud.key: cloud for cloud in (Aws(),)}
"""In the order in which New Image offers them."""
