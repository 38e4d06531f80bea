"""
Says whether the house in this container is well: the door answers, every process runs, the books balance.

For HEALTHCHECK, in an image without curl. Exit code 0 for well, 1 with the reason for anything else. Where door and
console listen the processes themselves have left in the data folder.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

_SECONDS = 2.0


def problem(data: Path) -> str:
    """Return what is wrong, in a few words; nothing when all is well."""
    for kind, path in (("collector", "/health"), ("console", "/health")):
        try:
            said = json.loads((data / "run" / f"{kind}.json").read_bytes())
            with urllib.request.urlopen(f"http://127.0.0.1:{said['port']}{path}", timeout=_SECONDS):
                pass
        except urllib.error.HTTPError as error:
            return f"{kind} answers {error.code}: {error.read(500).decode(errors='replace')}"
        except (OSError, ValueError, KeyError) as error:
            return f"{kind} does not answer: {type(error).__name__}"
    return ""


if __name__ == "__main__":
    found = problem(Path(os.environ.get("CUSTOMHOUSE_DATA", "/data")))
    sys.exit(found or 0)
