"""Settings that the sessions of the `requests` library have in common, for several SDKs."""

from __future__ import annotations

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry


def configure_session(session: requests.Session) -> None:
    """Make a session retry once, and ignore the environment of this server.

    The retry is for a pooled connection that the server has closed, or a brief failure. It applies
    to every method, since the adapters only read images and log in.
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
