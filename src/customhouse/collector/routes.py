"""
Which protocols serve a path: exact paths from one dictionary, paths with a `{}` segment from a short list.

A path is served with and without a trailing slash; there are no redirects, because a redirect turns a POST into a GET
in most SDKs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from customhouse.model.contracts import Route, WireProtocol
from customhouse.model.http import Reply

Recogniser = Callable[[bytes], bool]


class Entry(Struct, frozen=True):
    """One protocol's offer to serve one method of one path."""

    protocol: WireProtocol
    route: Route
    accepted: Reply
    """What it says to every request it takes."""
    recognises: Recogniser | None = None
    """Says of an unpacked body whether it comes from this family's SDKs, where the path is shared."""


Methods = dict[str, tuple[Entry, ...]]


class Routes:
    """All routes of all protocols, looked up by path."""

    def __init__(self, protocols: Sequence[WireProtocol], recognisers: Mapping[str, Recogniser]) -> None:
        """Lay out the table. Where paths are shared, the order of the protocols is the order of preference."""
        self._plain: dict[str, Methods] = {}
        self._exact = self._plain
        self._patterns: list[tuple[list[str], Methods]] = []
        self._prefixes: tuple[str, ...] = ()
        for protocol in protocols:
            for route in protocol.routes:
                accepted = protocol.accepted(route) if route.ingest else Reply(200)
                self._add(Entry(protocol, route, accepted, recognisers.get(protocol.name)))

    def _add(self, entry: Entry) -> None:
        path = entry.route.path
        if "{}" in path:
            segments = path.split("/")
            methods = next((found for known, found in self._patterns if known == segments), None)
            if methods is None:
                self._patterns.append((segments, methods := {}))
        else:
            methods = self._plain.setdefault(path, {})
            self._plain[f"{path}/"] = methods
        methods[entry.route.method] = (*methods.get(entry.route.method, ()), entry)

    def serve_under(self, prefixes: Iterable[str]) -> None:
        """Serve every path under these prefixes too, and under no others. A prefixed path is found as fast as a plain one."""
        self._prefixes = tuple(sorted(prefixes, key=len, reverse=True))
        self._exact = {f"{prefix}{path}": found for prefix in self._prefixes for path, found in self._plain.items()}
        self._exact |= self._plain

    def prefix(self, path: str) -> str:
        """Return the prefix a path is under; empty when it is under none."""
        return next((prefix for prefix in self._prefixes if path.startswith(f"{prefix}/")), "")

    def methods(self, path: str) -> Methods | None:
        """Return who serves which method of a path; None when nobody knows the path."""
        found = self._exact.get(path)
        return found if found is not None or not self._patterns else self._match(path)

    def _match(self, path: str) -> Methods | None:
        segments = path[len(self.prefix(path)) :].removesuffix("/").split("/")
        for pattern, methods in self._patterns:
            if len(pattern) == len(segments) and all(
                segment if expected == "{}" else expected == segment
                for expected, segment in zip(pattern, segments, strict=True)
            ):
                return methods
        return None
