"""Write `webapp/api/openapi.json`, the OpenAPI document of the API.

If the new document would break clients of the current API, the script writes it only with
`--breaking`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from webapp.api import openapi
from webapp.api.compatibility import breaking_changes


def main() -> None:
    new = openapi.document()
    if openapi.FILE.exists() and "--breaking" not in sys.argv:
        changes = breaking_changes(json.loads(openapi.FILE.read_text()), new)
        if changes:
            sys.exit("These changes break clients:\n" + "\n".join(changes))
    openapi.FILE.write_text(openapi.to_text(new))


if __name__ == "__main__":
    main()
