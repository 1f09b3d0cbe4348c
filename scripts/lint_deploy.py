"""Lint the files in deploy/: containers, nginx, systemd units, alerts and the dashboard.

On a machine without systemd-analyze, the units are not checked. Without promtool, the queries of
the alerts and the dashboard are not checked.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent
MAX_EXPOSURE = 2.0
"""The highest accepted exposure level of a unit, from 0 (safe) to 10."""


def main() -> None:
    problems = [*_run_linters(), *_verify_units(), *_check_queries()]
    print("\n".join(problems) or "deploy/: no problems found")
    sys.exit(bool(problems))


def _run_linters() -> Iterator[str]:
    containerfiles = [str(path) for path in sorted(DEPLOY.rglob("Containerfile"))]
    compose = ["--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose.yaml")]
    for name, arguments in (
        ("hadolint", containerfiles),
        ("check-jsonschema", compose),
        ("gixy", [str(DEPLOY / "nginx" / "image-registry.conf")]),
    ):
        result = _run(str(BIN / name), *arguments)
        if result.returncode:
            yield f"{name}:\n{result.stdout}"


def _verify_units() -> Iterator[str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        for unit in sorted((DEPLOY / "systemd").glob("*.service")):
            copy = Path(folder) / unit.name
            # The program that the unit starts does not exist on this machine.
            copy.write_text(unit.read_text().replace("ExecStart=/srv", "ExecStart=/bin/true /srv"))
            # The exit code is 0 even if a value is misspelled.
            if text := _run(program, "verify", "--man=no", str(copy)).stdout.strip():
                yield f"{unit.name}: {text}"
            exposure = _run(program, "security", "--offline=yes", "--no-pager", str(copy)).stdout
            level = float(exposure.rpartition("service: ")[2].split()[0])
            if level > MAX_EXPOSURE:
                yield f"{unit.name}: the exposure level is {level}, more than {MAX_EXPOSURE}"


def _check_queries() -> Iterator[str]:
    """Let promtool parse the queries of the alerts and of the dashboard.

    promtool reads only rules, so the queries of the dashboard become rules in a temporary file.
    """
    program = shutil.which("promtool")
    if program is None:
        return
    dashboard = DEPLOY / "grafana" / "image-registry.json"
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / f"{dashboard.stem}.yaml"
        rules.write_text(
            json.dumps({"groups": [{"name": "dashboard", "rules": _rules(dashboard)}]})
        )
        for path in (DEPLOY / "prometheus" / "alerts.yaml", rules):
            result = _run(program, "check", "rules", str(path))
            if result.returncode:
                yield f"promtool:\n{result.stdout}"


def _rules(dashboard: Path) -> list[dict[str, str]]:
    panels = json.loads(dashboard.read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    return [
        # Grafana replaces its variables before it sends a query. promtool does not know them.
        {"record": f"query_{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(queries)
    ]


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


if __name__ == "__main__":
    main()
