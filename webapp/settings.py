"""Read the settings from environment variables, once per process.

If a value is missing, malformed or easy to guess, the app does not start, and a message says what
to do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import quote

from click import ClickException
from cryptography.fernet import Fernet

PLAIN_PATH = re.compile(r"(/(?!\.{1,2}(/|$))[\w.~-]{1,64}){1,8}", re.ASCII)
"""A path such as `/registry/images`, without empty parts and without the parts `.` and `..`."""
HOST_NAME = re.compile(
    r"(\*\.)?(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*",
    re.ASCII | re.IGNORECASE,
)
"""A host name, which may begin with `*.`."""
BIND = re.compile(r"(?P<host>\[[^\s\[\]]+\]|[^\s\[\]]*):(?P<port>[0-9]{1,5})")
"""An address and a port, such as `127.0.0.1:9464`, `[::1]:9464` or `:9464`."""
CONTROL = re.compile(r"[\0-\x1f\x7f-\x9f\u2028\u2029]")
PRINTABLE = re.compile(r"[!-~]+")
"""A text of ASCII characters without spaces and control characters."""
SECRETS = (
    "SECRET_KEY",
    "CREDENTIALS_KEYS",
    "DATABASE_URL",
    "DIRECT_DATABASE_URL",
    "REDIS_URL",
    "METRICS_TOKEN",
)
"""The settings whose value can be in a file. For example, SECRET_KEY_FILE is a path of a file."""


DEFAULT_THREADS = 16


class SettingsError(ClickException):
    """A setting is missing or wrong, so the app cannot start.

    Commands show the message of a ClickException without a traceback.
    """


@dataclass(frozen=True, repr=False)
class Settings:
    """All settings. The class has no repr, because several of the fields contain secrets."""

    secret_key: str
    """Signs sessions and receipts. It has at least 32 characters."""
    credentials_keys: tuple[str, ...]
    """Fernet keys for cloud credentials. The first key encrypts. Every key can decrypt."""
    data_dir: Path
    """The folder of the default database. The folder may not exist yet."""
    secret_files: tuple[Path, ...]
    """The files that settings were read from."""
    database_url: str
    pgbouncer: bool
    """Whether the server in `database_url` is PgBouncer instead of PostgreSQL."""
    direct_database_url: str
    """The URL of the same database without PgBouncer, for backups, or ''."""
    redis_url: str
    """The URL of the Redis server that counts the failed sign-ins of all processes together.

    If it is '', each process counts separately.
    """
    trusted_proxies: int
    """Number of reverse proxies whose X-Forwarded headers are trusted."""
    url_prefix: str
    """Path in front of every URL, such as '/registry', or ''."""
    trust_forwarded_prefix: bool
    """Whether the header X-Forwarded-Prefix is trusted."""
    secure_cookies: bool
    session_idle_minutes: int
    """The minutes after which a session ends if it is not used."""
    session_days: int
    """The days after which a session ends in any case."""
    demonstration: bool
    log_level: str
    allowed_endpoints: tuple[str, ...]
    """The hosts and networks that adapters may connect to, or () for the default.

    See `webapp.clouds.outgoing.endpoints`.
    """
    threads: int
    """Number of threads that serve requests in each process."""
    job_threads: int
    """How many threads of each process work on jobs."""
    web_runs_jobs: bool
    """Whether the processes of the web server work on jobs. Otherwise, only `flask work` does."""
    log_format: str
    """'text' or 'json'."""
    log_requests: bool
    """Whether gunicorn logs each request. gunicorn.conf.py reads this setting."""
    metrics_token: str
    """The bearer token for /metrics, or '' if the main port shows no metrics."""
    metrics_bind: tuple[str, int] | None
    """The address of another port that shows the metrics, or None."""


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Return the settings. Raises SettingsError if a setting is missing or wrong."""
    data_dir = Path(environ.get("DATA_DIR") or "data").absolute()
    demonstration = _boolean(environ, "DEMONSTRATION", default=False)
    trusted_proxies = _count(environ, "TRUSTED_PROXIES", default=0, lowest=0, highest=100)
    return Settings(
        secret_key=_secret_key(environ),
        credentials_keys=_credentials_keys(environ),
        data_dir=data_dir,
        secret_files=tuple(
            Path(environ[f"{name}_FILE"]) for name in SECRETS if environ.get(f"{name}_FILE")
        ),
        database_url=_url(environ, "DATABASE_URL") or sqlite_url(data_dir / "registry.db"),
        pgbouncer=_boolean(environ, "PGBOUNCER", default=False),
        direct_database_url=_url(environ, "DIRECT_DATABASE_URL"),
        redis_url=_url(environ, "REDIS_URL"),
        trusted_proxies=trusted_proxies,
        url_prefix=_url_prefix(environ),
        trust_forwarded_prefix=_trust_forwarded_prefix(environ, trusted_proxies),
        secure_cookies=_boolean(environ, "SECURE_COOKIES", default=not demonstration),
        session_idle_minutes=_count(
            environ, "SESSION_IDLE_MINUTES", default=720, lowest=15, highest=44_640
        ),
        session_days=_count(environ, "SESSION_DAYS", default=30, lowest=1, highest=365),
        demonstration=demonstration,
        log_level=_choice(environ, "LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
        log_format=_choice(environ, "LOG_FORMAT", "text", ("text", "json")),
        log_requests=_boolean(environ, "LOG_REQUESTS", default=False),
        metrics_token=_metrics_token(environ),
        metrics_bind=_metrics_bind(environ),
        allowed_endpoints=_allowed_endpoints(environ, demonstration=demonstration),
        threads=_count(environ, "THREADS", default=DEFAULT_THREADS, lowest=1, highest=1000),
        job_threads=_count(environ, "JOB_THREADS", default=16, lowest=4, highest=256),
        web_runs_jobs=_boolean(environ, "WEB_RUNS_JOBS", default=True),
    )


def sqlite_url(path: Path) -> str:
    """Return the DATABASE_URL of an SQLite file. Special characters in the path are quoted."""
    return f"sqlite:///{quote(str(path), errors='surrogateescape')}"


def _text(environ: Mapping[str, str], name: str) -> str:
    """Return the value of the variable `name`, or '' if it is not set.

    If `name` + "_FILE" is set, it is the path of a file that contains the value.
    """
    path = environ.get(f"{name}_FILE")
    if not path:
        value = environ.get(name, "")
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise SettingsError(f"{name} is not UTF-8 text.")
        return value
    if environ.get(name):
        raise SettingsError(f"Both {name} and {name}_FILE are set. Set one of them.")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"The file named by {name}_FILE cannot be read: {error}.") from error
    except UnicodeDecodeError:
        # The original error would show a part of the secret.
        raise SettingsError(f"The file named by {name}_FILE is not UTF-8 text.") from None


def _url(environ: Mapping[str, str], name: str) -> str:
    value = _text(environ, name)
    if CONTROL.search(value):
        raise SettingsError(
            f"{name} contains a line break or another control character. Write the URL in one line."
        )
    return value


def _secret_key(environ: Mapping[str, str]) -> str:
    value = _text(environ, "SECRET_KEY")
    advice = "Generate one with: python -c 'import secrets; print(secrets.token_hex(32))'"
    if not value:
        raise SettingsError(f"SECRET_KEY is missing. {advice}")
    if len(value) < 32 or len(set(value)) < 8:
        raise SettingsError(f"SECRET_KEY is too easy to guess. {advice}")
    return value


def _credentials_keys(environ: Mapping[str, str]) -> tuple[str, ...]:
    advice = (
        "Generate one with: python -c "
        "'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
    )
    keys = tuple(
        key.strip() for key in _text(environ, "CREDENTIALS_KEYS").split(",") if key.strip()
    )
    if not keys:
        raise SettingsError(f"CREDENTIALS_KEYS is missing. {advice}")
    for number, key in enumerate(keys, start=1):
        try:
            Fernet(key)
        except ValueError as error:
            message = f"Key {number} in CREDENTIALS_KEYS is not a Fernet key. {advice}"
            raise SettingsError(message) from error
    return keys


def _boolean(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = environ.get(name, "")
    if value == "":
        return default
    if value.lower() in {"true", "yes", "1", "on"}:
        return True
    if value.lower() in {"false", "no", "0", "off"}:
        return False
    raise SettingsError(f"{name} must be true or false, not {value!r}.")


def _count(
    environ: Mapping[str, str], name: str, *, default: int, lowest: int, highest: int
) -> int:
    value = environ.get(name, "") or str(default)
    if not re.fullmatch("[0-9]{1,9}", value) or not lowest <= int(value) <= highest:
        raise SettingsError(
            f"{name} must be a whole number from {lowest} to {highest}, not {value[:40]!r}."
        )
    return int(value)


def _url_prefix(environ: Mapping[str, str]) -> str:
    value = environ.get("URL_PREFIX", "").rstrip("/")
    if value and not PLAIN_PATH.fullmatch(value):
        raise SettingsError(f"URL_PREFIX must be a path such as /registry, not {value!r}.")
    return value


def _trust_forwarded_prefix(environ: Mapping[str, str], trusted_proxies: int) -> bool:
    trusted = _boolean(environ, "TRUST_FORWARDED_PREFIX", default=False)
    if trusted and not trusted_proxies:
        raise SettingsError(
            "TRUST_FORWARDED_PREFIX needs TRUSTED_PROXIES: set the number of reverse proxies."
        )
    return trusted


def _choice(environ: Mapping[str, str], name: str, default: str, choices: Sequence[str]) -> str:
    value = environ.get(name) or default
    chosen = value.upper() if default.isupper() else value.lower()
    if chosen not in choices:
        raise SettingsError(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
    return chosen


def _metrics_token(environ: Mapping[str, str]) -> str:
    value = _text(environ, "METRICS_TOKEN")
    if value and (len(value) < 16 or len(set(value)) < 8 or not PRINTABLE.fullmatch(value)):
        raise SettingsError(
            "METRICS_TOKEN must have at least 16 printable characters without spaces. Generate one "
            "with: python -c 'import secrets; print(secrets.token_hex(32))'"
        )
    return value


def _metrics_bind(environ: Mapping[str, str]) -> tuple[str, int] | None:
    value = environ.get("METRICS_BIND", "")
    if not value:
        return None
    found = BIND.fullmatch(value)
    if not found or not 0 < int(found["port"]) < 65_536:
        raise SettingsError(
            "METRICS_BIND must be an address and a port such as 127.0.0.1:9464, or :9464 for all "
            f"addresses, not {value!r}."
        )
    return found["host"].strip("[]"), int(found["port"])


def _allowed_endpoints(environ: Mapping[str, str], *, demonstration: bool) -> tuple[str, ...]:
    """Return the entries of ALLOWED_ENDPOINTS.

    In the demonstration, the default allows loopback addresses, because the sandbox clouds listen
    on them.
    """
    value = environ.get("ALLOWED_ENDPOINTS", "")
    entries = tuple(entry.strip() for entry in value.split(",")) if value.strip() else ()
    entries = tuple("default" if each.lower() == "default" else each for each in entries)
    for entry in entries:
        if not _is_endpoint(entry):
            raise SettingsError(
                "ALLOWED_ENDPOINTS must be a list of host names and networks, separated by commas, "
                f"such as default,10.0.0.0/8,*.example.com. {entry!r} is neither."
            )
    if not entries and demonstration:
        return ("default", "127.0.0.0/8", "::1/128")
    return entries


def _is_endpoint(entry: str) -> bool:
    """Return whether an entry is a network or a host name.

    A name whose last part is a number, such as 10.0.0.300 or 0x7f000001, is a wrong address.
    """
    try:
        ip_network(entry)
    except ValueError:
        is_number = re.search(r"(^|\.)(\d+|0x[0-9a-f]*)\.?$", entry, re.IGNORECASE)
        return not is_number and bool(HOST_NAME.fullmatch(entry))
    return "%" not in entry
