"""Every cloud of the sandbox in one process: `python -m sandbox --port P --folder F` serves them on
loopback at the ports from P on, and keeps in F what must be the same at the next start. Writes
F/sandbox.json, the credentials that are good there, and prints one line when all are ready."""

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
    parser.add_argument("--port", type=int, required=True, help="the first; 0 for any free ones")
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: os._exit(0))  # At once: there is nothing to save.
    authority = tls.kept_in(given.folder)
    with ExitStack() as stack:
        rows = []
        for place, (key, speaks) in enumerate(CLOUDS.items()):
            cloud = importlib.import_module(f"sandbox.{key}")
            trust = (authority,) if speaks == "https" else ()
            address = stack.enter_context(cloud.start(given.port and given.port + place, *trust))
            rows.append({"cloud": key, "values": cloud.credentials(address, *trust)})
        _write(given.folder / "sandbox.json", {"port": given.port, "credentials": rows})
        print("The sandbox is ready", flush=True)
        threading.Event().wait()


def _write(path: Path, content: object) -> None:
    """Whole or not at all, for its owner only: keys are among it."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(content, indent=1))
    fresh.replace(path)


if __name__ == "__main__":
    main()
