"""Read the settings from environment variables, once per process.

If a required value is missing, or if a value is malformed or easy to guess, the app does not start,
and a message says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

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
PUBLIC_URL = re.compile(
    r"(?P<origin>https?://(?P<host>[^\s/:?#@]+)(:(?P<port>[1-9][0-9]{0,4}))?)(?P<path>(/[^\s?#]*)?)",
    re.ASCII | re.IGNORECASE,
)
"""A URL without a query, such as `https://registry.example.com:8443/registry`."""
SENDER = re.compile(
    r"(?:(?P<name>[^<>\"@\\]{1,64}?)?\s*(?P<open><))?"
    r"(?P<user>[\w.!#$%&'*+/=?^`{|}~-]{1,64})@(?P<host>[^<>]+)(?(open)>)",
    re.ASCII,
)
"""An e-mail address, which may be in angle brackets after a name."""
CONTROL = re.compile(r"[\0-\x1f\x7f-\x9f\u2028\u2029]")
PRINTABLE = re.compile(r"[!-~]+")
"""A text of ASCII characters, without spaces or control characters."""
SECRETS = (
    "SECRET_KEY",
    "CREDENTIALS_KEYS",
    "DATABASE_URL",
    "DIRECT_DATABASE_URL",
    "REDIS_URL",
    "SMTP_URL",
    "METRICS_TOKEN",
)
"""The settings whose value can be in a file. For example, SECRET_KEY_FILE is the path of a file."""
SMTP_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
"""The schemes of SMTP_URL, each with its default port."""
DEFAULT_THREADS = 16


class SettingsError(ClickException):
    """A setting is missing or wrong, so the app cannot start.

    Commands show the message of a ClickException without a traceback.
    """


@dataclass(frozen=True, repr=False)
class SmtpServer:
    """The server that sends mails. Its repr shows no fields, because one field is a password."""

    scheme: str
    """A key of SMTP_PORTS."""
    host: str
    port: int
    user: str
    """The user to sign in as, or '' for a server that needs no password."""
    password: str
    sender_name: str
    """The name in the header From, or ''."""
    sender: str
    """The e-mail address in the header From."""


@dataclass(frozen=True, repr=False)
class Settings:
    """All settings. The repr shows no fields, because several fields contain secrets."""

    secret_key: str
    """Signs forms, receipts and all cookies except the session cookie. At least 32 characters.

    The tokens in mails, and the nonces and PKCE verifiers for identity providers, are derived from
    this key too.
    """
    credentials_keys: tuple[str, ...]
    """Keys for cloud credentials, in the format of Fernet keys: 32 bytes in URL-safe Base64.

    The first key encrypts. Every key can decrypt.
    """
    data_dir: Path
    """The folder of the default database. The folder may not exist yet."""
    secret_files: tuple[Path, ...]
    """The files that settings were read from."""
    database_url: str
    require_tls: bool
    """Whether each connection to another machine must be encrypted, with a verified certificate."""
    pgbouncer: bool
    """Whether the server in `database_url` is PgBouncer instead of PostgreSQL."""
    direct_database_url: str
    """The URL of the same database without PgBouncer, for backups, or ''."""
    redis_url: str
    """The URL of the Redis server, or ''.

    This server stores the counts of failed sign-ins and of API requests, which all processes share.
    Without the server, each process has its own counts.
    """
    smtp: SmtpServer | None
    """The mail server, or None if the application sends no mail."""
    oidc_providers_file: Path | None
    """The file with the identity providers, which `webapp.single_sign_on` reads, or None."""
    local_accounts: bool
    """Whether everybody may sign in with a password. Otherwise, only `emergency_admin` may."""
    emergency_admin: str
    """The e-mail address, in lower case, of the person who may always use a password, or ''."""
    trusted_proxies: int
    """Number of reverse proxies whose X-Forwarded headers are trusted."""
    url_prefix: str
    """Path in front of every URL, such as '/registry', or ''."""
    trust_forwarded_prefix: bool
    """Whether the header X-Forwarded-Prefix is trusted."""
    public_url: str
    """The scheme and host of absolute URLs, such as 'https://registry.example.com', or ''.

    If it is '', absolute URLs have the scheme and host of the current request.
    """
    trusted_hosts: tuple[str, ...]
    """The host names that requests may have, or () for every host name.

    An entry that begins with '*.' matches a domain and all of its subdomains.
    """
    secure_cookies: bool
    """Whether browsers send the cookies only over HTTPS."""
    session_idle_minutes: int
    """The number of minutes without a request after which a session ends."""
    session_days: int
    """The number of days after which a session ends, even if it is used."""
    confirm_minutes: int
    """The number of minutes for which a proof of identity allows sensitive changes."""
    api_requests_per_minute: int
    """The maximum number of API requests per minute with one token."""
    demonstration: bool
    """Whether this is the demonstration, with sample accounts and simulated clouds."""
    log_level: str
    allowed_endpoints: tuple[str, ...]
    """The hosts and networks of clouds and identity providers to which the app may connect.

    () means the default. See `webapp.clouds.outgoing.endpoints`.
    """
    threads: int
    """Number of threads that serve requests in each process."""
    job_threads: int
    """The maximum number of threads that work on jobs in each process."""
    web_runs_jobs: bool
    """Whether the processes of the web server work on jobs. Otherwise, only `flask work` does."""
    log_format: str
    """'text' or 'json'."""
    log_requests: bool
    """Whether gunicorn logs each request except probes. gunicorn.conf.py reads this setting."""
    metrics_token: str
    """The bearer token for /metrics, or '' if the main port shows no metrics."""
    metrics_bind: tuple[str, int] | None
    """The address of another port that shows the metrics, or None."""

    def may_use_password(self, email: str) -> bool:
        """Return whether the person with this normalized e-mail address may use a password."""
        return self.local_accounts or (bool(email) and email == self.emergency_admin)


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Return the settings. Raises SettingsError if a setting is missing or wrong."""
    data_dir = Path(environ.get("DATA_DIR") or "data").absolute()
    demonstration = _boolean(environ, "DEMONSTRATION", default=False)
    trusted_proxies = _count(environ, "TRUSTED_PROXIES", default=0, lowest=0, highest=100)
    url_prefix = _url_prefix(environ)
    public_url = _public_url(environ, url_prefix)
    settings = Settings(
        secret_key=_secret_key(environ),
        credentials_keys=_credentials_keys(environ),
        data_dir=data_dir,
        secret_files=tuple(
            Path(environ[f"{name}_FILE"]) for name in SECRETS if environ.get(f"{name}_FILE")
        ),
        database_url=_url(environ, "DATABASE_URL") or sqlite_url(data_dir / "registry.db"),
        require_tls=_boolean(environ, "REQUIRE_TLS", default=False),
        pgbouncer=_boolean(environ, "PGBOUNCER", default=False),
        direct_database_url=_url(environ, "DIRECT_DATABASE_URL"),
        redis_url=_url(environ, "REDIS_URL"),
        smtp=_smtp(environ, public_url),
        oidc_providers_file=_oidc_providers_file(environ, public_url),
        local_accounts=_local_accounts(environ),
        emergency_admin=_emergency_admin(environ),
        trusted_proxies=trusted_proxies,
        url_prefix=url_prefix,
        trust_forwarded_prefix=_trust_forwarded_prefix(environ, trusted_proxies),
        public_url=public_url,
        trusted_hosts=_trusted_hosts(environ, public_url),
        secure_cookies=_boolean(environ, "SECURE_COOKIES", default=not demonstration),
        session_idle_minutes=_count(
            environ, "SESSION_IDLE_MINUTES", default=720, lowest=15, highest=44_640
        ),
        session_days=_count(environ, "SESSION_DAYS", default=30, lowest=1, highest=365),
        api_requests_per_minute=_count(
            environ, "API_REQUESTS_PER_MINUTE", default=1200, lowest=1, highest=1_000_000
        ),
        confirm_minutes=_count(environ, "CONFIRM_MINUTES", default=15, lowest=1, highest=44_640),
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
    if settings.require_tls:
        _require_tls(settings)
    return settings


def is_this_machine(host: str) -> bool:
    """Return whether a host name or an address always refers to this machine."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def sqlite_url(path: Path) -> str:
    """Return the DATABASE_URL of an SQLite file. Special characters in the path are quoted."""
    return f"sqlite:///{quote(str(path), errors='surrogateescape')}"


def _require_tls(settings: Settings) -> None:
    """Raise SettingsError if a Redis or mail server on another machine lacks verified TLS.

    `webapp.database` checks the URLs of the database, and `webapp.clouds.outgoing.encryption` the
    connections to clouds. Identity providers on other machines always need TLS.
    """
    if not _is_encrypted_redis(settings.redis_url):
        raise SettingsError(
            "With REQUIRE_TLS, REDIS_URL must begin with rediss://, and must not turn off the "
            "verification of the certificate. Only a Redis server on this machine needs no TLS."
        )
    smtp = settings.smtp
    if smtp and smtp.scheme == "smtp" and not is_this_machine(smtp.host):
        raise SettingsError(
            "With REQUIRE_TLS, SMTP_URL must begin with smtp+starttls:// or smtps://. Only a mail "
            "server on this machine needs no TLS."
        )


def _is_encrypted_redis(url: str) -> bool:
    """Return whether the connection to this URL has verified TLS or stays on this machine.

    For '', which means no Redis, return True. For the URL of a cluster, return False: the client
    for clusters uses no TLS, and a cluster on this machine may refer to servers on other machines.
    For a URL that begins with rediss://, return False if the option `ssl_cert_reqs` or
    `ssl_check_hostname` in its query turns off the verification of the certificate, even if the
    server is on this machine. If one of these options occurs several times, each of its values must
    leave the verification on.
    """
    try:
        parts = urlsplit(url)
        host, options = parts.hostname or "", parse_qs(parts.query)
    except ValueError:
        return True  # The URL is refused later, with the reason.
    if parts.scheme in {"", "redis+unix"}:
        return True
    if parts.scheme == "redis":
        return is_this_machine(host) and "host" not in options
    verification = {
        "ssl_cert_reqs": {"required"},
        "ssl_check_hostname": {"true", "1", "yes", "on"},
    }
    return parts.scheme == "rediss" and all(
        value.lower() in accepted
        for name, accepted in verification.items()
        for value in options.get(name, [])
    )


def _text(environ: Mapping[str, str], name: str) -> str:
    """Return the value of the variable `name`, or '' if it is not set.

    If the variable `name` + "_FILE" is set instead, it contains the path of a file with the value.
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


def _smtp(environ: Mapping[str, str], public_url: str) -> SmtpServer | None:
    """Return the mail server of SMTP_URL and the sender of MAIL_FROM, or None without SMTP_URL."""
    value, (sender_name, sender) = _url(environ, "SMTP_URL"), _mail_from(environ)
    if not value:
        return None
    try:
        parts = urlsplit(value)
        default_port = SMTP_PORTS[parts.scheme]
        port = parts.port or default_port
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        is_host = HOST_NAME.fullmatch(parts.hostname or "") or ip_address(parts.hostname or "")
        is_url = is_host and not parts.path.strip("/") and not parts.query and not parts.fragment
        is_login = bool(user) == bool(password) and f"{user}{password}".isascii()
    except (ValueError, LookupError):
        is_url = is_login = False
    if not is_url or not is_login:
        # The message does not contain the value, because the value may contain a password.
        raise SettingsError(
            "SMTP_URL must be a URL such as smtp+starttls://user:password@mail.example.com:587. "
            "The scheme is smtp+starttls, smtps or smtp. Give both a user and a password, or "
            "neither, with only ASCII characters. Write special characters as %XX."
        )
    if user and parts.scheme == "smtp":
        raise SettingsError(
            "With the scheme smtp, SMTP_URL must not contain a password, because the password "
            "would not be encrypted. Use smtp+starttls or smtps."
        )
    for name, needed in (("MAIL_FROM", sender), ("PUBLIC_URL", public_url)):
        if not needed:
            raise SettingsError(f"SMTP_URL needs {name}. Set both, or remove SMTP_URL.")
    return SmtpServer(parts.scheme, parts.hostname or "", port, user, password, sender_name, sender)


def _oidc_providers_file(environ: Mapping[str, str], public_url: str) -> Path | None:
    path = environ.get("OIDC_PROVIDERS_FILE", "")
    if path and not public_url:
        raise SettingsError(
            "OIDC_PROVIDERS_FILE needs PUBLIC_URL, because identity providers send people back to "
            "this URL. Set both, or remove OIDC_PROVIDERS_FILE."
        )
    return Path(path) if path else None


def _local_accounts(environ: Mapping[str, str]) -> bool:
    allowed = _boolean(environ, "LOCAL_ACCOUNTS", default=True)
    if not allowed and not environ.get("OIDC_PROVIDERS_FILE"):
        raise SettingsError(
            "LOCAL_ACCOUNTS=false needs OIDC_PROVIDERS_FILE. Otherwise, nobody could sign in."
        )
    return allowed


def _emergency_admin(environ: Mapping[str, str]) -> str:
    value = environ.get("EMERGENCY_ADMIN", "").strip()
    if value and (not SENDER.fullmatch(value) or "<" in value):
        raise SettingsError(
            f"EMERGENCY_ADMIN must be an e-mail address such as admin@example.com, not "
            f"{value[:200]!r}."
        )
    return value.lower()


def _mail_from(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the name and the e-mail address in MAIL_FROM. Both are '' if it is not set."""
    value = environ.get("MAIL_FROM", "").strip()
    if not value:
        return "", ""
    found = SENDER.fullmatch(value)
    if not found or not value.isprintable() or not HOST_NAME.fullmatch(found["host"]):
        raise SettingsError(
            "MAIL_FROM must be an e-mail address such as registry@example.com, or a name and an "
            f"address such as Image Registry <registry@example.com>, not {value[:200]!r}."
        )
    return found["name"] or "", f"{found['user']}@{found['host']}"


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
            message = f"Key {number} in CREDENTIALS_KEYS is not 32 bytes in URL-safe Base64."
            raise SettingsError(f"{message} {advice}") from error
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


def _public_url(environ: Mapping[str, str], url_prefix: str) -> str:
    """Return the scheme and host of PUBLIC_URL, or ''. Its path must be empty or the URL prefix."""
    value = environ.get("PUBLIC_URL", "")
    if not value:
        return ""
    found = PUBLIC_URL.fullmatch(value)
    if not found or not _is_host_name(found["host"]) or int(found["port"] or 1) > 65_535:
        raise SettingsError(
            f"PUBLIC_URL must be a URL such as https://registry.example.com, not {value[:200]!r}."
        )
    if found["path"].rstrip("/") not in {"", url_prefix}:
        raise SettingsError(
            "The path of PUBLIC_URL must be the same as URL_PREFIX. Correct one of them, or "
            "remove the path from PUBLIC_URL."
        )
    return found["origin"].lower()


def _trusted_hosts(environ: Mapping[str, str], public_url: str) -> tuple[str, ...]:
    """Return the entries of TRUSTED_HOSTS and the host name of PUBLIC_URL, in lower case."""
    value = environ.get("TRUSTED_HOSTS", "")
    entries = [entry.strip().lower() for entry in value.split(",")] if value.strip() else []
    for entry in entries:
        if not _is_host_name(entry.removeprefix("*.")):
            raise SettingsError(
                "TRUSTED_HOSTS must be a list of host names without ports, separated by commas, "
                f"such as registry.example.com,*.example.com. {entry!r} is not a host name."
            )
    public_host = urlsplit(public_url).hostname
    return (*([public_host] if public_host else []), *entries)


def _is_host_name(text: str) -> bool:
    return bool(HOST_NAME.fullmatch(text)) and not text.startswith("*.")


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
            "METRICS_TOKEN must have at least 16 ASCII characters, at least eight of them "
            "different, and no spaces. Generate one with: python -c 'import secrets; "
            "print(secrets.token_hex(32))'"
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

    A name whose last part is a number, such as 10.0.0.300 or 0x7f000001, is not a host name, but a
    malformed IP address.
    """
    try:
        ip_network(entry)
    except ValueError:
        is_number = re.search(r"(^|\.)(\d+|0x[0-9a-f]*)\.?$", entry, re.IGNORECASE)
        return not is_number and bool(HOST_NAME.fullmatch(entry))
    return "%" not in entry
