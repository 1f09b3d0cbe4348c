"""Measure the time and the memory that loading the SDKs takes.

    python -m bench.warm_up

First, a separate process for each cloud measures the time and the memory that loading its SDK
takes. The application loads the SDKs in the background (the warm-up). Without the warm-up, the
first person who presses NEXT in New Image would have to wait until the SDK is loaded.

Then, the application is started under gunicorn with two workers: once without any credentials, and
once with credentials for all clouds. The benchmark measures the time to the first page, the time
until both workers have loaded the SDKs, the time of pages before and after that, and the memory.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.measure import percentiles, resident_mb, sign_in
from tests import served
from webapp.clouds import CLOUDS

WORKERS = 2
LOADED = "is loaded"
LOAD_ONE_SDK = """
import sys, time
from pathlib import Path
from webapp.clouds import CLOUDS
def memory():
    text = Path("/proc/self/smaps_rollup").read_text()
    return int(text.split("Pss:")[1].split()[0]) / 1024
before, began = memory(), time.perf_counter()
CLOUDS[sys.argv[1]].warm_up()
print(f"{time.perf_counter() - began:.2f} {memory() - before:.0f}")
"""


def main() -> None:
    print(f"{'SDK of':26}{'loads in':>10}{'takes':>10}")
    for key, cloud in CLOUDS.items():
        command = [sys.executable, "-c", LOAD_ONE_SDK, key]
        seconds, memory = subprocess.check_output(command, text=True, cwd=served.ROOT).split()
        print(f"{cloud.label:26}{seconds:>8} s{memory:>7} MB")
    with tempfile.TemporaryDirectory() as name, served.sandbox(Path(name)) as sandbox:
        for credentials in (None, sandbox):
            folder = Path(name) / ("all" if credentials else "none")
            folder.mkdir()
            _measure_app(folder, credentials)


def _measure_app(folder: Path, sandbox: Path | None) -> None:
    environ = served.app_environ(folder) | {"LOG_LEVEL": "DEBUG"}
    if sandbox is None:
        sandbox = folder / "sandbox.json"
        sandbox.write_text('{"credentials": []}')
    served.seed(environ, sandbox)
    clouds = len(CLOUDS) if sandbox.parent != folder else 0
    print(f"\nThe app with credentials of {clouds} clouds")
    log = folder / "log"
    began = time.perf_counter()
    with served.serve_app(environ, log, WORKERS) as app:
        print(f"  first page after:       {time.perf_counter() - began:6.2f} s")
        session = sign_in(app.url, "scalr@example.com")

        def request_page() -> float:
            before = time.perf_counter()
            assert session.get(f"{app.url}/scalr/images", timeout=30).ok
            return (time.perf_counter() - before) * 1000

        while_loading = []
        while log.read_text().count(LOADED) < WORKERS * clouds:
            while_loading.append(request_page())
            time.sleep(0.02)
        print(f"  all SDKs loaded after:  {time.perf_counter() - began:6.2f} s")
        if len(while_loading) > 1:
            _report("pages while loading", while_loading)
        _report("pages after", [request_page() for _ in range(300)])
        print(f"  memory:                 {resident_mb(app.pid):6.0f} MB in {WORKERS} workers")


def _report(label: str, times: list[float]) -> None:
    p50, p95, _ = percentiles(times)
    print(f"  {label + ':':24}p50 {p50:.1f} ms, p95 {p95:.1f} ms, longest {max(times):.0f} ms")


if __name__ == "__main__":
    main()
