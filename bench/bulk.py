"""Measure a bulk action on 5,000 images, and how long another writer waits during the action.

    python -m bench.bulk [--images 5000] [--against FOLDER]

The benchmark creates the images in a new SQLite database. A job shares all these images with the
scopes below. Meanwhile, another thread writes to the database about ten times a second.
"""

from __future__ import annotations

import argparse
import os
import subprocess
from pathlib import Path

from bench.demonstration import demonstration
from tests import served

MEASURE = """
import sqlite3, sys, threading, time
from pathlib import Path
import webapp
from models import *
from models import database
from webapp.credentials.vault import Vault
from webapp.jobs import runner, store
from webapp.jobs.bulk_actions import ACTIONS
from webapp.images import image_details
from webapp.people import accounts
from tests.conftest import details
import os
count = int(sys.argv[1])
webapp.create_app()
DETAILS = image_details.to_json(details())
vault = Vault([os.environ["CREDENTIALS_KEYS"]])
waits = []
def write():
    path = database.obj.database
    other = sqlite3.connect(path, timeout=60, isolation_level=None)
    while not ended.is_set():
        started = time.monotonic()
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE person SET theme = 'dark'")
        other.execute("COMMIT")
        waits.append(time.monotonic() - started)
        ended.wait(0.1)
ended = threading.Event()
with database.connection_context():
    person = Person.select().where(Person.email == "account@example.com").get()
    scope = Scope.get(Scope.path == "acme")
    with database.atomic():
        images = [
            Image.create(
                scope=scope, cloud="aws", location="us-east-1", cloud_image_id=f"ami-{n:017x}",
                name=f"image {n}", os_family="ubuntu", os_version="24.04", agent_installed=False,
                shared=False, state="available", details=DETAILS, credentials_name="",
                registered_by_name="",
            )
            for n in range(count)
        ]
    job_rows = [JobRow(image_id=image.id, subject="image") for image in images]
    actor = accounts.actor_for(person)
    job = store.create_job(actor, scope, "image-share", {"batch": "b" * 32}, job_rows)
    if hasattr(runner, "Runner"):
        runner.Runner(vault).start()
    threading.Thread(target=write, daemon=True).start()
    started = time.monotonic()
    runner.start_job(job, vault)
    while Job.get_by_id(job.id).state != "done":
        time.sleep(0.1)
    seconds = time.monotonic() - started
    ended.set()
    done = JobRow.select().where(JobRow.job == job, JobRow.outcome == "done").count()
    print(f"  {done:,} rows in {seconds:.1f} s, {done / seconds:.0f} rows/s; "
          f"longest wait of another writer {max(waits) * 1000:.0f} ms")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="also measure another checkout")
    parser.add_argument("--images", type=int, default=5000)
    arguments = parser.parse_args()
    for checkout in filter(None, (arguments.against, served.ROOT)):
        print(f"{checkout.name}, load {os.getloadavg()[0]:.0f}:", flush=True)
        _measure(checkout, arguments.images)


def _measure(checkout: Path, images: int) -> None:
    with demonstration(checkout) as (_, environ):
        measure = [served.python_of(checkout), "-c", MEASURE, str(images)]
        subprocess.run(measure, env=environ, cwd=checkout, check=True)


if __name__ == "__main__":
    main()
