"""The settings of the app in tests."""

from __future__ import annotations

from cryptography.fernet import Fernet

ENVIRON = {
    "SECRET_KEY": "tests only: 6f1c0c5f9d0b4b2e8a7d",
    "CREDENTIALS_KEYS": Fernet.generate_key().decode(),
    "SECURE_COOKIES": "false",
    "ALLOWED_ENDPOINTS": "default,127.0.0.0/8,::1/128",
}
