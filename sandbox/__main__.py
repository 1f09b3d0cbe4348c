"""Serve every sandbox cloud from one process: `python -m sandbox --port P --folder F`.

The clouds listen on loopback, at port P and the ports after P. The program writes valid credentials
for all clouds to F/sandbox.json, and stores its certificate authority in F for the next start. It
prints a line when all clouds are ready.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import threading
from contextlib import ExitStack
from pathlib import Path

from sandbox import CLOUDS, tls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--port", type=int, required=True, help="the first port; 0 for any free ports"
    )
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))  # There is nothing to save.
    authority = tls.load_or_create(arguments.folder)
    with ExitStack() as stack:
        rows = []
        for position, (key, protocol) in enumerate(CLOUDS.items()):
            cloud = importlib.import_module(f"sandbox.{key}")
            trust = (authority,) if protocol == "https" else ()
            port = arguments.port and arguments.port + position
            url = stack.enter_context(cloud.start(port, *trust))
            rows.append({"cloud": key, "values": cloud.credentials(url, *trust)})
        _write(arguments.folder / "sandbox.json", {"port": arguments.port, "credentials": rows})
        print("The sandbox is ready", flush=True)
        threading.Event().wait()


def _write(path: Path, content: object) -> None:
    """Write `content` as JSON, atomically. Only the owner can read the file: it contains keys."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(json.dumps(content, indent=1))
    new.replace(path)


if __name__ == "__main__":
    main()
