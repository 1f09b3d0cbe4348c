"""Serve the real Keystone or Glance: `serve.py keystone|glance PORT`.

Keystone and Glance have their own Python environment, which does not contain the registry. This
program runs in that environment. `real_services` sets the environment variables that name the
configuration files. The process ends when its standard input is closed.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from typing import NoReturn


def _end_with_input() -> NoReturn:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    service, port = sys.argv[1:]
    sys.argv[1:] = []  # Otherwise, Keystone would parse these arguments.
    threading.Thread(target=_end_with_input, daemon=True).start()
    # mypy would report an import statement, because the registry's environment lacks this package.
    waitress = importlib.import_module("waitress")
    application = importlib.import_module(f"{service}.wsgi.api").application
    waitress.serve(application, host="127.0.0.1", port=int(port), threads=8)
