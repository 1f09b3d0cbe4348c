"""Settings for sessions of the `requests` library, which several SDKs use."""

from __future__ import annotations

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry


def configure_session(session: requests.Session) -> None:
    """Make a session retry once, and ignore the environment of this server.

    The retry helps if the server has closed a pooled connection, or has failed briefly. It applies
    to every HTTP method, because the adapters only read images and log in.
    """
    session.trust_env = False
    retry = Retry(
        total=1,
        connect=0,
        allowed_methods=None,
        backoff_factor=0,
        status_forcelist=(502, 503, 504),
        raise_on_status=False,
        respect_retry_after_header=False,
    )
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
