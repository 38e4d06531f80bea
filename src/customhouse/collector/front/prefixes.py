"""
First-party path prefixes: names the site's owner chooses freely, under which everything for browsers is served once more.

They look like a part of the site to browsers, because they are: a proxy hands them on to the door as they are.
"""

import re
from collections.abc import Iterable, Iterator

from customhouse.model.errors import Problem

MOST = 8
OWN = frozenset({"v1", "beacon", "sourceconfig", "sdk", "health", "ready", "version", "metrics", "robots.txt"})
"""First segments (in lower case) the door serves by itself, or keeps for itself."""
_PREFIX = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,63}){1,4}")


def problems(prefixes: Iterable[str], place: str) -> Iterator[Problem]:
    """Say what is wrong with prefixes as written."""
    seen = set()
    for nth, prefix in enumerate(prefixes):
        where = f"{place}[{nth}]"
        if nth == MOST:
            yield Problem(where, f"there are more than {MOST} prefixes", "keep those your pages use")
            return
        if not _PREFIX.fullmatch(prefix):
            hint = "write it like `/journal`: a slash, then letters, digits, `-`, `_`, `~`, `.`; no slash at the end"
            yield Problem(where, "this is no path prefix", hint)
        elif prefix.split("/")[1].lower() in OWN:
            yield Problem(where, "the door serves something of its own there", "choose another first word: `/journal`")
        elif prefix in seen:
            yield Problem(where, "this prefix stands here twice", "remove one of them")
        seen.add(prefix)
