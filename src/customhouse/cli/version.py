"""`customhouse version` says what this is."""

import platform
from importlib.metadata import version as installed

from customhouse.cli.output import as_json, out
from customhouse.cli.place import JsonOption


def version(as_json_: JsonOption = False) -> None:
    """Say which version this is."""
    said = {"customhouse": installed("customhouse"), "python": platform.python_version(), "system": platform.system()}
    if as_json_:
        as_json(said)
    else:
        out.print(f"customhouse {said['customhouse']} (Python {said['python']}, {said['system']})")
