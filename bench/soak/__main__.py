"""
Steady load on a whole house, watched from outside.

    python -m bench.soak [--minutes 30] [--rate 500] [--every 5] [--out FOLDER]

A client sends batches of ten at an even pace, whatever the answers, in pieces of a minute. Everything goes to the lake
and to a webhook that answers every fiftieth request with 503, so that there is always something to retry. Retention is
as small as the configuration allows (64 MiB for each log), so that it works within minutes, and whole files of the lake
are small, so that merging comes through all its sizes.

At the end every answer was 200, no process was started anew, memory, handles and threads are flat (see `judgement`),
the logs stay within their bound, a stored event costs no more disk than before, the books balance, and every
acknowledged id stands in the lake exactly once. Writes `soak.json` and `soak.md`; exit code 1 when anything is not so.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import yaml
from deltalake import DeltaTable
from msgspec import Struct

from bench.calls import Call, call
from bench.house import House, opened, workspace
from bench.soak.report import Result, document, page, verdicts
from bench.soak.watch import Watch
from bench.units import machine, others_busy, quantile, within
from customhouse.app.workspace import Workspace

LOG_BYTES = 64 * 1024 * 1024
_SIZE = 10
_PIECE = 60.0
_REFUSED = 50
_WHOLE = 4
"""Megabytes of a whole file of the lake: merging then comes through all its sizes in minutes, as it does in days with 64."""


class Sent(Struct):
    """What the client had acknowledged: when, by id; and the waits of each minute."""

    at: dict[str, float]
    minutes: list[dict[str, float]]


def main() -> int:
    """Soak, judge, write."""
    options = _options()
    busy = others_busy()
    with (
        TemporaryDirectory(prefix="customhouse-soak-", dir=options.folder) as scratch,
        _webhook() as hook,
        opened(_workspace(Path(scratch), hook)) as house,
    ):
        watch = Watch(house, options.every)
        try:
            sent = _load(house, options, Path(scratch))
        finally:
            watch.end()
        within(120, lambda: house.owed() >= len(sent.at) and house.delivered(), "events in the lake", pause=0.2)
        within(120, lambda: not _books(house)["in_flight"], "events at the webhook", pause=1.0)
        result = _count(house, watch, sent, LOG_BYTES)
    facts = machine() | {
        "load": f"{options.minutes:g} minutes at {options.rate:g} events/s in batches of {_SIZE}",
        "others": f"{busy:.1f} cores busy before, {others_busy():.1f} after",
    }
    found = verdicts(result)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "soak.json").write_text(json.dumps(document(facts, result, found), indent=1) + "\n")
    told = page(facts, result, found)
    (options.out / "soak.md").write_text(told)
    print(told)
    return int(not all(verdict.good for verdict in found))


@contextmanager
def _webhook() -> Iterator[str]:
    """Run a destination that refuses now and then."""
    with Popen([sys.executable, "-m", "bench.peer", str(_REFUSED)], stdout=PIPE, text=True) as peer:
        assert peer.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(peer.stdout.readline())}/"
        finally:
            peer.kill()


def _workspace(folder: Path, hook: str) -> Workspace:
    """Write a workspace whose retention is as small as it may be."""
    place = workspace(folder)
    said = yaml.safe_load(place.config_file.read_text())
    said["retention"] = {"log_bytes": LOG_BYTES}
    said["destinations"]["lake"] |= {"keep_minutes": 2, "target_megabytes": _WHOLE}
    said["destinations"]["hook"] = {"type": "webhook", "url": hook, "batch_events": 100}
    said["routes"] = [{"to": ["lake", "hook"]}]
    place.config_file.write_text(yaml.safe_dump(said))
    return place


def _load(house: House, options: argparse.Namespace, scratch: Path) -> Sent:
    """Send, a piece at a time; the next client gets ready while one sends, so that the pace has no holes."""
    sent, left, number = Sent({}, []), options.minutes * 60.0, 0
    with ExitStack() as clients:
        upcoming = _client(house, options, scratch, clients, min(left, _PIECE), number)
        while left > 0:
            current, number = upcoming, number + 1
            current[0].start()
            left -= _PIECE
            if left > 0:
                upcoming = _client(house, options, scratch, clients, min(left, _PIECE), number)
            said = current[0].end()
            sent.minutes.append({name: said[name] for name in ("requests", "p50_ms", "p99_ms", "most_ms")})
            sent.at |= dict(json.loads(current[1].read_text()))
            current[1].unlink()
            print(f"minute {number}: {said['requests']} requests, p99 {said['p99_ms']:.1f} ms", flush=True)
    return sent


def _client(
    house: House, options: argparse.Namespace, scratch: Path, clients: ExitStack, seconds: float, number: int
) -> tuple[Call, Path]:
    acks = scratch / f"acks-{number}.json"
    said = {
        "rate": options.rate,
        "size": _SIZE,
        "seconds": seconds,
        "acks": acks,
        "seed": 1000 + number,
        "connections": 16,
    }
    return clients.enter_context(call(house.port("collector"), "batch", **said)), acks


def _count(house: House, watch: Watch, sent: Sent, log_bytes: int) -> Result:
    """Hold what was acknowledged against lake and books."""
    table = house.place.lake / "events"
    files = DeltaTable(table).file_uris()
    rows = duckdb.sql("select message_id, owed_upto from read_parquet($files)", params={"files": files}).fetchall()
    times = Counter(message for message, _ in rows)
    watch._commits()  # noqa: SLF001 - the newest ones
    waits = [watch.visible[upto] - sent.at[message] for message, upto in rows if message in sent.at]
    books = _books(house)
    return Result(
        sights=watch.sights,
        minutes=sent.minutes,
        acknowledged=len(sent.at),
        missing=sum(1 for message in sent.at if message not in times),
        doubled=sum(1 for count in times.values() if count > 1),
        strange=sum(1 for message in times if message not in sent.at),
        unaccounted=books["unaccounted"],
        booked=books["acknowledged"],
        at_hook=books["accounts"].get("delivered:hook", 0),
        fresh={name: quantile(waits, share) for name, share in (("p50", 0.5), ("p99", 0.99), ("most", 1.0))},
        troubles=[*watch.troubles, *_restarts(house)],
        log_bytes=log_bytes,
        removed={topic: _removed(house.place.log / topic / "0") for topic in ("received", "owed")},
    )


def _books(house: House) -> dict[str, Any]:
    books: dict[str, Any] = json.loads(house.command("balance", "--json"))
    return books


def _restarts(house: House) -> list[str]:
    now = house.announced()
    return [f"{kind} was started anew" for kind, pid in house.pids.items() if kind in now and now[kind] != pid]


def _removed(folder: Path) -> int:
    """Return the first position a log still has: what lies before was removed."""
    return min(int(path.stem) for path in folder.glob("*.seg"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__.splitlines()[1])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--rate", type=float, default=500.0, help="events per second")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two looks")
    parser.add_argument("--out", type=Path, default=Path(".soak"), help="where soak.json and soak.md go")
    parser.add_argument("--folder", help="where the house stands; the system's temporary folder")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
