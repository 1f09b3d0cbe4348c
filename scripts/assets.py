"""Install the browser's assets: htmx, Tabler's style sheet, and an SVG file with icons.

The script writes the assets to webapp/static/vendor. `webapp/static/icons.txt` lists the icons. If
the assets are up to date, the script does not install them again, and needs no network. On a
machine without npm, pip installs npm. Finally, `scripts/compress.py` compresses all static files.

Run this file as a script, with the Python of the application's virtual environment. With `--quiet`,
the script does not print that it installs the assets.
"""

from __future__ import annotations

import difflib
import json
import shutil
import sys
from pathlib import Path
from xml.sax.saxutils import quoteattr

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.compress import compress  # noqa: E402  from the folder above
from scripts.npm import STAMP, digest, install, is_up_to_date  # noqa: E402

QUIET = "--quiet"
LOCK = ROOT / "package-lock.json"
MODULES = ROOT / "node_modules"
STATIC = ROOT / "webapp" / "static"
VENDOR = STATIC / "vendor"
ICONS = STATIC / "icons.txt"
FILES = {
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
    "tabler.min.css": "@tabler/core/dist/css/tabler.min.css",
}


def main() -> None:
    _install_vendor()
    compress(STATIC)


def _install_vendor() -> None:
    source_digest = digest(LOCK, ICONS, Path(__file__))
    if is_up_to_date(VENDOR, source_digest):
        return
    if QUIET not in sys.argv:
        print("Installing the browser’s assets…", flush=True)
    install(ROOT)
    VENDOR.mkdir(exist_ok=True)
    (VENDOR / STAMP).unlink(missing_ok=True)
    for name, source in FILES.items():
        shutil.copyfile(MODULES / source, VENDOR / name)
    (VENDOR / "icons.svg").write_text(_sprite(ICONS.read_text().split()))
    (VENDOR / STAMP).write_text(source_digest)


def _sprite(names: list[str]) -> str:
    """Return an SVG file with one symbol for each icon. The page sets color and stroke."""
    drawings = json.loads((MODULES / "@tabler/icons/tabler-nodes-outline.json").read_text())
    for name in names:
        if name not in drawings:
            similar = ", ".join(difflib.get_close_matches(name, drawings)) or "none"
            sys.exit(f"{ICONS}: Tabler has no icon {name!r}. Similar icons: {similar}.")
    symbols = "\n".join(_symbol(name, drawings[name]) for name in names)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg">\n'
        f"<!-- Tabler Icons, tabler.io/icons, MIT license -->\n{symbols}\n</svg>\n"
    )


def _symbol(name: str, drawing: list[tuple[str, dict[str, str]]]) -> str:
    shapes = "".join(
        f"<{tag} {' '.join(f'{key}={quoteattr(value)}' for key, value in attributes.items())}/>"
        for tag, attributes in drawing
    )
    return f'<symbol id="{name}" viewBox="0 0 24 24">{shapes}</symbol>'


if __name__ == "__main__":
    main()
