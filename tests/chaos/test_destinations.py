"""Destinations that hang, cut the line, refuse and lie: their lane waits, the others never notice, nothing is lost."""

import contextlib
import time

from breaking import Breaker
from load import Load
from lying import LyingServer
from oracle import judge

_TROUBLE = 3.0
IMPATIENT = {
    "timeout_seconds": 0.5,
    "retry_base_seconds": 0.1,
    "retry_cap_seconds": 1.0,
    "breaker_seconds": 0.5,
    "batch_events": 50,
}
WAYS = ("hang", "reset", "500", "429", "lie")


def test_destinations_in_trouble(house_of, seed, report):
    """One in each kind of trouble, all at once: the lake has everything while they are stuck, and they in the end."""
    with contextlib.ExitStack() as stack:
        hooks = {f"hook_{way}": stack.enter_context(LyingServer()) for way in WAYS}
        house = house_of(hooks, lane=IMPATIENT)
        house.start()
        with Load(house.url, seed, senders=2, pause=0.06) as load:
            house.wait_until(lambda: all(hook.events() for hook in hooks.values()), 30, "all destinations get events")
            for way, hook in zip(WAYS, hooks.values(), strict=True):
                hook.mode = way
            time.sleep(_TROUBLE)
            for way, hook in zip(WAYS, hooks.values(), strict=True):
                hook.then("ok", way, "ok", "500", "ok", way, "429", "ok")
            time.sleep(_TROUBLE)
            load.end()
            taken = load.journal.copies_acknowledged
            books = house.settled(60, acknowledged=taken, ignore=tuple(f"owed:{name}" for name in hooks))
            stuck = {name: books["in_flight"].get(f"owed:{name}", 0) for name in hooks}
            for hook in hooks.values():
                hook.mode = "ok"
        assert all(stuck.values()), f"a destination was never in trouble: {stuck}"
        report(f"stuck while the lake had everything: {stuck}; {judge(house, load.journal, **hooks)}")
        house.stop()


def test_everything_at_once_and_a_crash(house_of, seed, report):
    """Answers of every kind, in any order, while the delivery is killed: at least once, nothing lost."""
    with LyingServer() as hook:
        house = house_of({"hook": hook}, lane=IMPATIENT)
        breaker = Breaker(house)
        breaker.start()
        with Load(house.url, seed + 10, senders=2) as load:
            for nth in range(3):
                hook.then(*(("ok", "ok", *WAYS)[(seed + nth + each * 3) % 7] for each in range(20)))
                time.sleep(1.5)
                breaker.kill("delivery")
        report(f"{breaker.kills} kills, {judge(house, load.journal, hook=hook, parcels=False)}")
        house.stop()


def test_refused_credentials(house_of, tmp_path, seed, report):
    """A parked lane burns nothing and asks nothing, until the secret in its file is mended and read again."""
    token = tmp_path / "token"
    token.write_text("Bearer stale-token")
    with LyingServer() as hook:
        house = house_of({"hook": hook}, lane=IMPATIENT | {"headers": {"authorization": f"file:{token}"}})
        house.start()
        with Load(house.url, seed + 20, senders=2) as load:
            house.wait_until(hook.events, 30, "the destination gets events")
            hook.mode = "401"
            house.wait_until(lambda: hook.requests()[-1].answer == "401", 30, "the destination refuses")
            time.sleep(1)
            asked = len(hook.requests())
            time.sleep(_TROUBLE)
            assert len(hook.requests()) == asked, "a parked lane knocks on"
            token.write_text("Bearer fresh-token")
            hook.mode = "ok"
            assert house.cli("reload").returncode == 0
            house.wait_until(lambda: len(hook.requests()) > asked, 30, "the lane goes on")
        assert hook.requests()[-1].headers["authorization"] == "Bearer fresh-token"
        report(judge(house, load.journal, hook=hook))
        house.stop()
