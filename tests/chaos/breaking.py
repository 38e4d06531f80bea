"""The hand that breaks things: sets faults in running processes, kills, cuts the power, and counts what it did."""

from collections.abc import Mapping
from pathlib import Path

from house import KINDS, House

_SECONDS = 45.0


class Breaker:
    """Breaks one house. Every process it kills must come back by itself, or with the next start."""

    def __init__(self, house: House) -> None:
        """Take a house that does not run yet."""
        self.house = house
        self.kills = 0
        self._folder = Path(f"{house.folder}-faults")
        self._folder.mkdir()

    def start(self) -> None:
        """Start the house so that faults can be set while it runs."""
        self.house.start(CUSTOMHOUSE_FAULTS_FOLDER=str(self._folder))

    def set(self, kind: str, rules: str) -> None:
        """Give a kind of process other faults, from its next passing of any point on; no rules end them."""
        path, partial = self._folder / kind, self._folder / f"{kind}.partial"
        if rules:
            partial.write_text(rules)
            partial.replace(path)
        else:
            path.unlink(missing_ok=True)

    def die_at(self, points: Mapping[str, str]) -> None:
        """Let processes kill themselves at points, `{kind: rules}`, and wait until each did so and is back."""
        before = self.house.pids()
        for kind, rules in points.items():
            self.set(kind, rules)
        for kind, rules in points.items():
            self._wait(lambda kind=kind: not (self._folder / kind).exists(), f"{kind} dies at {rules}")
            self.kills += 1
        self._back(before, list(points))

    def kill(self, kind: str) -> None:
        """Kill a process, wherever it is, and wait until it is back."""
        before = self.house.pids()
        self.house.kill(kind)
        self.kills += 1
        self._back(before, [kind])

    def kill_supervisor(self) -> None:
        """Kill the supervisor alone and start another one at once, while the old processes are still about to end."""
        self.house.forsake()
        self.kills += 1
        self.start()

    def cut_power(self) -> None:
        """Kill the supervisor and all processes at once, and start again."""
        self.house.kill_all()
        self.kills += 1 + len(KINDS)
        self.start()

    def _back(self, before: Mapping[str, int], kinds: list[str]) -> None:
        def are_back() -> bool:
            now = self.house.pids()
            return len(now) == len(KINDS) and all(now[kind] != before.get(kind) for kind in kinds)

        self._wait(are_back, f"{kinds} are back")

    def _wait(self, predicate, what: str) -> None:
        self.house.wait_until(predicate, _SECONDS, what)
