"""Load of Google's SDK only what knows images. Its package imports the clients of all 120 services
of Compute Engine as soon as it is touched: four times as long, for nothing that is used here."""

from __future__ import annotations

import importlib
import importlib.util
import sys

PACKAGE = "google.cloud.compute_v1"
IMAGES = f"{PACKAGE}.services.images"


def load() -> None:
    """Whoever imports a module of the package by its full name later gets it from here; the
    package itself is still whole for whoever wants it. Harmless when done before."""
    if PACKAGE in sys.modules or IMAGES in sys.modules:
        return
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None:
        raise ModuleNotFoundError(PACKAGE)
    # Stands for the package while its modules are imported, and does nothing of its own.
    sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
    try:
        importlib.import_module(IMAGES)
    finally:
        del sys.modules[PACKAGE]
