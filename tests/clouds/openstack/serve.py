"""Serve the real Keystone or Glance: `serve.py keystone|glance PORT`. Run by the Python
of their own environment, with nothing of ours in it; `real_services` says where they read their
configuration. Ends when standard input does."""

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
    sys.argv[1:] = []  # Keystone takes our arguments for its own.
    threading.Thread(target=_end_with_input, daemon=True).start()
    waitress = importlib.import_module("waitress")  # is in their environment, not in ours
    application = importlib.import_module(f"{service}.wsgi.api").application
    waitress.serve(application, host="127.0.0.1", port=int(port), threads=8)
