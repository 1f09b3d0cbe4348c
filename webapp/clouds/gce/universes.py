"""The universes: Google Cloud itself, and the sovereign clouds that partners operate.

Each universe has its own API domain, console and project IDs. The values are from the operators'
documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Universe:
    """A universe: a separate cloud with its own API.

    `prefix` is the part of a project ID before the colon, for example `eu0`. If the project IDs of
    the universe have no prefix, `prefix` is ''.
    """

    domain: str
    prefix: str
    console: str

    @property
    def endpoint(self) -> str:
        """The URL of the Compute Engine API."""
        return f"https://compute.{self.domain}"


GOOGLE = Universe("googleapis.com", "", "console.cloud.google.com")
UNIVERSES = (
    GOOGLE,
    Universe("apis-berlin-build0.goog", "eu0", "console.cloud.berlin-build0.goog"),
    Universe("s3nsapis.fr", "s3ns", "console.cloud.s3nscloud.fr"),
)
SYSTEM_SUFFIX = "-system"
"""In the project IDs of a sovereign cloud's public images, this text follows the prefix.

For example, the project ID of Debian's images is `eu0-system:debian-cloud`.
"""


def find_universe(domain: str) -> Universe | None:
    """Return the universe with this API domain, or None if it is unknown."""
    return next((universe for universe in UNIVERSES if universe.domain == domain), None)


def universe_of_project(project: str) -> Universe | None:
    """Return the universe to which a project with this ID belongs, or None if it is unknown.

    A prefix with a dot is the domain of an organization in Google Cloud, not a universe.
    """
    prefix = project.rpartition(":")[0].removesuffix(SYSTEM_SUFFIX)
    if "." in prefix:
        return GOOGLE
    return next((universe for universe in UNIVERSES if universe.prefix == prefix), None)


def is_private_endpoint(url: str, universe: Universe) -> bool:
    """Return whether a person entered an endpoint URL that is not the API of `universe`."""
    return bool(url) and urlsplit(url).hostname != urlsplit(universe.endpoint).hostname
