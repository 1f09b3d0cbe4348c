"""The command `images`, which calls the API of an Image Registry.

The package needs only click and the standard library, and knows the registry only by its API.
"""

__version__ = "0.2.0"
