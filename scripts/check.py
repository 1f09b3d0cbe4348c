"""Run every check: the linters, the types, and the tests on each database and in browsers.

If a program that the tests need is missing, such as PostgreSQL or a browser, this script tries to
install it. If a check cannot run, the summary at the end says so. With CI=true, such a check is a
failure.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / "build" / "tests"
sys.path.insert(0, str(ROOT))

# These imports need ROOT in sys.path.
from tests import pgbouncer, production  # noqa: E402
from tests.clouds.vmware import vcsim  # noqa: E402
from tests.postgresql import NoPostgreSQL, program_folder  # noqa: E402

WORKERS = "--numprocesses=4"
"""Most CI machines have two processors. With four workers, other tests run while a test waits."""
BROWSER_WORKERS = "--numprocesses=2"
"""Each browser, with the application that it opens, occupies more than one processor."""
LINT_IMPORTS = str(Path(sys.executable).with_name("lint-imports"))
"""import-linter has no module that `python -m` can run."""
SQLITE_SUFFICES = (
    "tests/api/test_access_matrix.py",
    "tests/api/test_foreign_ids.py",
    "tests/api/test_openapi.py",
    "tests/api/test_retried_requests.py",
    "tests/api/test_safe_requests.py",
    "tests/api/test_schemathesis.py",
    "tests/api/test_token_exchange.py",
    "tests/cli",
    "tests/clouds",
    "tests/database/test_private_files.py",
    "tests/database/test_urls.py",
    "tests/factors/test_passkeys.py",
    "tests/forms",
    "tests/images/test_operating_systems.py",
    "tests/images/test_operating_systems_recorded.py",
    "tests/mail/test_smtp.py",
    "tests/monitoring",
    "tests/people/test_browsers.py",
    "tests/schema/test_search_text.py",
    "tests/search/test_language.py",
    "tests/search/test_language_properties.py",
    "tests/search/test_sql.py",
    "tests/serving",
    "tests/single_sign_on/test_configuration.py",
    "tests/test_answers_of_clouds.py",
    "tests/test_architecture.py",
    "tests/test_canaries.py",
    "tests/test_demonstration.py",
    "tests/test_docs.py",
    "tests/test_monitoring_files.py",
    "tests/test_prepare.py",
    "tests/test_require_tls.py",
    "tests/test_settings.py",
    "tests/test_supply_chain.py",
    "tests/test_warm_up.py",
    "tests/tokens/test_token_text.py",
    "tests/transfer/test_downloads.py",
    "tests/transfer/test_import_formats.py",
    "tests/transfer/test_import_limits.py",
    "tests/transfer/test_plan_is_outcome.py",
    "tests/transfer/test_uploads.py",
    "tests/values",
    "tests/views/test_access_matrix.py",
    "tests/views/test_browse.py",
    "tests/views/test_every_cloud.py",
    "tests/views/test_foreign_ids.py",
    "tests/views/test_safe_requests.py",
    "tests/views/test_statement_counts.py",
    "tests/web/test_components.py",
    "tests/web/test_notes.py",
    "tests/web/test_scripts.py",
    "tests/web/test_security.py",
    "tests/web/test_session_cookies.py",
    "tests/web/test_static_files.py",
    "tests/web/test_templates.py",
    "tests/web/test_url_prefix.py",
)
"""The tests that run only on SQLite.

The results of most of these tests hardly depend on the database. The two files
`test_foreign_ids.py` are in this list for another reason: their tests take about 18 minutes on
PostgreSQL. If you change how the application hides records that a person may not see, run these
tests on PostgreSQL by hand (see CONTRIBUTING.md).
"""
PGBOUNCER_TESTS = (
    "tests/database",
    "tests/jobs/test_store.py",
    "tests/views/test_image_list.py",
    "tests/views/test_images.py",
)
"""The tests that also run on PostgreSQL behind PgBouncer, except those in SQLITE_SUFFICES."""
NO_PLAYWRIGHT = "Playwright is not installed. The reason is above."
END_SECONDS = 20
"""How many seconds an interrupted command may take to clean up."""
COUNTED_SEPARATELY = {
    "test_contract": "of the adapter contract",
    "openstack.test_real_services": "against the real Keystone and Glance",
    "vmware.test_vcsim": "against vcsim",
    "azure.test_api_description": "against Microsoft’s API description, with Prism",
    "azure.test_recorded": "against Azure’s recorded responses",
    "gce.test_recorded": "against Google’s API description, with Prism, and real images",
}
"""The modules in tests/clouds whose tests the summary counts separately, with a description."""


def _no_preparation() -> str:
    return ""


@dataclass(frozen=True)
class Check:
    name: str
    command: tuple[str, ...]
    """The command-line arguments of Python."""
    prepare: Callable[[], str] = _no_preparation
    """Installs the programs that the check needs. Returns why the check cannot run, or ''."""


@dataclass
class Result:
    name: str
    code: int = 0
    seconds: float = 0.0
    obstacle: str = ""
    """The reason why the check could not run, or ''."""
    counts: Counter[str] = field(default_factory=Counter)
    """The number of tests by outcome: passed, failed, skipped."""
    kinds: Counter[str] = field(default_factory=Counter)
    """The number of tests of the clouds by kind. The number of all other tests has the key ''."""


def main() -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    shutil.rmtree(REPORTS, ignore_errors=True)
    REPORTS.mkdir(parents=True)
    strict = os.environ.get("CI") == "true"
    try:
        results = [_run(check, strict=strict) for check in _checks()]
    except KeyboardInterrupt:
        sys.exit("\nInterrupted.")
    sys.exit(_print_summary(results))


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _checks() -> tuple[Check, ...]:
    return (
        Check("lint", ("-m", "ruff", "check", ".")),
        Check("format", ("-m", "ruff", "format", "--check", ".")),
        Check("templates", ("-m", "djlint", "--lint", "--quiet", "webapp/templates")),
        Check("spelling", ("-m", "codespell_lib")),
        Check("layers", (LINT_IMPORTS,)),
        Check("deployment files", ("-m", "scripts.lint_deploy")),
        Check("types", ("-m", "mypy")),
        # The peers (see scripts/peers.py) are installed before the tests of the adapters, because
        # an installation during these tests would distort their timings.
        Check("peers", ("-m", "scripts.peers"), prepare=_prepare_peers),
        Check("tests on SQLite", ("-m", "pytest", WORKERS, "tests"), prepare=_prepare_programs),
        Check(
            "tests on PostgreSQL",
            (
                *("-m", "pytest", WORKERS, "--database=postgresql", "tests"),
                *(f"--ignore={path}" for path in SQLITE_SUFFICES),
            ),
            prepare=_prepare_postgresql,
        ),
        Check(
            "tests on PgBouncer",
            (
                *("-m", "pytest", WORKERS, "--database=pgbouncer", *PGBOUNCER_TESTS),
                *(f"--ignore={path}" for path in SQLITE_SUFFICES),
            ),
            prepare=_prepare_pgbouncer,
        ),
        Check(
            "tests in a browser",
            ("-m", "pytest", BROWSER_WORKERS, "--dist=loadfile", "e2e"),
            prepare=_prepare_browser,
        ),
        Check(
            "tests in Firefox",
            (
                "-m",
                "pytest",
                BROWSER_WORKERS,
                "--dist=loadfile",
                "--firefox",
                "-m",
                "firefox",
                "e2e",
            ),
            prepare=_prepare_firefox,
        ),
    )


def _run(check: Check, *, strict: bool) -> Result:
    print(f"\n--- {check.name} ---", flush=True)
    result = Result(check.name, obstacle=check.prepare())
    if result.obstacle:
        print(f"\n*** NOT RUN: {check.name}. {result.obstacle} ***\n", flush=True)
        result.code = int(strict)
        return result
    report = REPORTS / f"{check.name.replace(' ', '-')}.xml"
    arguments = [*check.command]
    if "pytest" in arguments:
        arguments.append(f"--junitxml={report}")
    started = time.monotonic()
    result.code = _wait([sys.executable, *arguments])
    result.seconds = time.monotonic() - started
    if report.exists():
        _count_tests(report, result)
    return result


def _wait(command: list[str]) -> int:
    """Run a command and return its exit code.

    On an interrupt, let the command clean up for END_SECONDS. Finally, kill all processes of the
    command that are still running.
    """
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            return process.wait()
        except BaseException:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_SECONDS)
            raise
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)


def _environment() -> dict[str, str]:
    """Return the environment variables of the checks, with which Python stores compiled modules.

    The tests start the application many times. Without compiled modules, each start takes more than
    twice as long. If the variable PYTHONDONTWRITEBYTECODE is set, the compiled modules are stored
    in `build/`, so that the source folders contain only source files.
    """
    environ = dict(os.environ)
    if environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        environ["PYTHONPYCACHEPREFIX"] = str(ROOT / "build" / "pycache")
    return environ


def _count_tests(report: Path, result: Result) -> None:
    """Add the tests in a JUnit report to the counts of `result`."""
    for case in ET.parse(report).iter("testcase"):  # noqa: S314  pytest wrote it just now
        outcomes = {child.tag for child in case}
        outcome = "passed"
        if outcomes & {"failure", "error"}:
            outcome = "failed"
        elif "skipped" in outcomes:
            outcome = "skipped"
        result.counts[outcome] += 1
        result.kinds[_kind(case.get("classname", ""))] += 1


def _prepare_peers() -> str:
    """Install the programs that the peers need. Return '', because the check can always run.

    If a program is still missing, the tests that need the program report this.
    """
    if vcsim.missing_packages():
        _install_with_apt(*vcsim.PACKAGES)
    if shutil.which("node") is None:
        _install_with_apt("nodejs")
    return ""


def _prepare_programs() -> str:
    """Install nginx, Redis, Packer, PgBouncer and PostgreSQL if they are missing. Return ''.

    The check can run without these programs, because most tests need none of them.

    If a program is still missing, the tests that need the program report this.
    """
    try:
        production.require_programs()
    except production.NoProduction:
        _install_with_apt("nginx", "redis-server")
    if shutil.which("packer") is None:
        _install_with_apt("packer")
    _prepare_pgbouncer()
    return ""


def _kind(module: str) -> str:
    """Return the summary's text for a test module of the clouds, or '' for other tests."""
    if not module.startswith("tests.clouds."):
        return ""
    name = module.removeprefix("tests.clouds.")
    return COUNTED_SEPARATELY.get(name, "other tests of the clouds")


def _prepare_postgresql() -> str:
    """Install PostgreSQL if it is missing. Return why that failed, or ''."""
    if os.environ.get("TEST_DATABASE_URL"):
        return ""
    try:
        program_folder()
    except NoPostgreSQL:
        _install_with_apt("postgresql")
    else:
        return ""
    try:
        program_folder()
    except NoPostgreSQL as error:
        return str(error)
    return ""


def _prepare_pgbouncer() -> str:
    """Install PgBouncer and PostgreSQL if they are missing. Return why that failed, or ''."""
    try:
        pgbouncer.program()
    except pgbouncer.NoPgBouncer:
        _install_with_apt("pgbouncer")
    try:
        pgbouncer.program()
    except pgbouncer.NoPgBouncer as error:
        return str(error)
    return _prepare_postgresql()


def _prepare_browser() -> str:
    """Install Chromium if it is missing. Return why that failed, or ''.

    Chromium's headless shell is preferred, because it needs less processor time.
    """
    if importlib.util.find_spec("playwright") is None:
        return NO_PLAYWRIGHT
    if shutil.which("chromium-headless-shell") is None:
        _install_with_apt("chromium-headless-shell", "fonts-liberation")
    if not _has_browser():
        _wait([sys.executable, "-m", "playwright", "install", "chromium"])
    if not _has_browser():
        return "Chromium was not found. Install it, or run `playwright install chromium`."
    return ""


def _has_browser() -> bool:
    """Return whether Playwright has its own Chromium or the machine has one."""
    folder = os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or "~/.cache/ms-playwright"
    names = ("chromium-headless-shell", "chromium", "google-chrome")
    return any(Path(folder).expanduser().glob("chromium-*")) or any(
        shutil.which(name) for name in names
    )


def _prepare_firefox() -> str:
    """Install Firefox if it is missing. Return why that failed, or ''."""
    if importlib.util.find_spec("playwright") is None:
        return NO_PLAYWRIGHT
    if not _has_firefox():
        _install_with_apt("firefox-esr", "fonts-liberation")
    if not _has_firefox():
        return "Firefox was not found. Install it."
    return ""


def _has_firefox() -> bool:
    return any(shutil.which(name) for name in ("firefox-esr", "firefox"))


def _install_with_apt(*packages: str) -> None:
    """Try to install packages with apt. That needs root, or sudo without a password."""
    if not shutil.which("apt-get"):
        return
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if sudo and (not shutil.which("sudo") or _wait([*sudo, "true"])):
        return
    apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    print(f"Installing {', '.join(packages)}…", flush=True)
    if _wait([*apt, "update", "-qq"]) == 0:
        _wait([*apt, "install", "-y", "-q", *packages])


def _print_summary(results: list[Result]) -> int:
    """Print one line for each check, and the totals. Return the exit code of this script."""
    print("\n--- summary ---")
    for result in results:
        outcome, counts = _outcome_text(result), _counts_text(result)
        print(f"{result.name:20}{outcome:12}{result.seconds:7.1f} s   {counts}")
    failed = [result.name for result in results if result.code]
    not_run = [result.name for result in results if result.obstacle]
    if failed:
        print(f"FAILED: {', '.join(failed)}")
    if not_run:
        print(f"NOT RUN: {', '.join(not_run)}")
    totals: Counter[str] = sum((result.counts for result in results), Counter())
    total = ", ".join(f"{totals[outcome]} {outcome}" for outcome in sorted(totals))
    print(f"{total or 'no tests'} in {sum(result.seconds for result in results):.1f}s")
    return next((result.code for result in results if result.code), 0)


def _outcome_text(result: Result) -> str:
    if result.obstacle:
        return "NOT RUN"
    return f"FAILED ({result.code})" if result.code else "passed"


def _counts_text(result: Result) -> str:
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(result.counts.items()))
    kinds = ", ".join(f"{count} {kind}" for kind, count in result.kinds.items() if kind)
    return f"{counts} ({kinds})" if kinds else counts


if __name__ == "__main__":
    main()
