"""Serve the real Keystone or Glance: `serve.py keystone|glance PORT`.

This runs with the Python of their own environment, which contains nothing of ours. `real_services`
sets where they read their configuration. The process ends at the end of standard input.
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
    sys.argv[1:] = []  # Keystone parses the command line as well.
    threading.Thread(target=_end_with_input, daemon=True).start()
    waitress = importlib.import_module("waitress")  # It is in their environment, not in ours.
    application = importlib.import_module(f"{service}.wsgi.api").application
    waitress.serve(application, host="127.0.0.1", port=int(port), threads=8)
