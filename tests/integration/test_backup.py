"""Back-ups of a house under load, with processes killed around them; what was told safe before is there after."""

import contextlib
import http.client
import json
import threading
import time
from collections import Counter
from typing import Self
from urllib.parse import urlsplit

from house import KEY, House, customhouse
from knock import basic, send

BATCH = 50


class Sender:
    """Sends numbered events in batches, as fast as it is told to, and keeps the ids that were acknowledged."""

    def __init__(self, url: str, name: str, pause: float) -> None:
        self.acknowledged: list[str] = []
        self._place, self._name, self._pause = urlsplit(url), name, pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send_on, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_rest: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _send_on(self) -> None:
        batch = 0
        headers = {"authorization": basic(KEY), "content-type": "application/json"}
        connection = http.client.HTTPConnection(self._place.hostname or "", self._place.port, timeout=10)
        while not self._stop.is_set():
            ids = [f"{self._name}-{batch}-{nth}" for nth in range(BATCH)]
            events = [
                {"type": "track", "event": "Counted", "userId": f"u-{nth % 7}", "messageId": name}
                for nth, name in enumerate(ids)
            ]
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("POST", "/v1/batch", json.dumps({"batch": events}), headers)
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    self.acknowledged += ids
                    batch += 1
                    time.sleep(self._pause)
                    continue
            connection.close()  # the door is away: the same batch again, as an SDK does
            time.sleep(0.05)
        connection.close()


def ids_in(house: House) -> Counter[str]:
    return Counter(row["message_id"] for row in house.sql("select message_id from events"))


def restored(house: House, destination: object, snapshot: str, folder) -> House:
    """Make a house of the same configuration elsewhere, and put a snapshot in."""
    again = House(folder)
    done = again.cli("restore", str(destination), "--snapshot", snapshot)
    assert done.returncode == 0, done.stderr
    return again


def test_snapshots_under_load_and_kills(tmp_path):
    """About a thousand events a second flow while snapshots are taken and every process is killed once."""
    destination, taken = tmp_path / "backup", []
    with House(tmp_path / "house") as house:
        with Sender(house.url, "one", 0.04) as sender:
            for victim in ("", "delivery", "pipeline", "collector", ""):
                house.wait_until(
                    lambda: len(sender.acknowledged) >= 400 * (len(taken) + 1), what="load"
                )  # called at once
                if victim:
                    house.kill(victim)
                certain = list(sender.acknowledged)
                taken.append((certain, house.cli_json("backup", str(destination))))
                house.wait_ready()
        house.settled(acknowledged=len(sender.acknowledged))
        total = len(sender.acknowledged)
        assert sum(ids_in(house).values()) == len(ids_in(house)) >= total
    done = customhouse("backup", "verify", str(destination))
    assert (done.returncode, "none damaged" in done.stdout) == (0, True), done.stderr
    for nth in (1, 3):  # taken just after a kill of delivery, and of the collector
        certain, said = taken[nth]
        with restored(house, destination, said["snapshot"], tmp_path / f"again-{nth}") as again:
            books = again.settled(acknowledged=len(certain))
            assert books["unaccounted"] == 0
            there = ids_in(again)
            assert not set(certain) - there.keys(), "acknowledged before the back-up began, and not in the lake"
            assert max(there.values()) == 1
            assert len(there) == books["accounts"]["delivered:lake"]
            goes_on(again, certain[0])


def goes_on(house: House, old: str) -> None:
    """New events get through, an old message id is still a duplicate, and the books go on balancing."""
    before = house.balance()
    new = [f"new-{nth}" for nth in range(5)]
    for name in (old, *new):
        event = {"event": "Counted", "userId": "u-0", "messageId": name}
        assert send(house.url, event).status == 200
    books = house.settled(acknowledged=before["acknowledged"] + 6)
    there = ids_in(house)
    assert books["unaccounted"] == 0
    assert set(new) <= there.keys() and there[old] == 1
    assert books["accounts"]["dropped:duplicate"] == before["accounts"].get("dropped:duplicate", 0) + 1
    (story,) = house.cli_json("trace", new[0])
    assert story["state"] == "delivered"


def test_the_next_back_up_writes_only_what_is_new(tmp_path):
    destination = tmp_path / "backup"
    with House(tmp_path / "house") as house:
        for nth in range(200):
            assert send(house.url, {"event": "E", "userId": "u", "messageId": f"m-{nth}"}).status == 200
        house.settled(acknowledged=200)
        house.wait_until(lambda: house.sql("select count(*) as n from trail")[0]["n"] == 200, what="the trail")
        first = house.cli_json("backup", str(destination))
        again = house.cli_json("backup", str(destination))
        assert first["copied"] > 20_000
        assert again["copied"] < first["copied"] / 4
        assert again["snapshot"] != first["snapshot"]
        inside = house.cli("backup", str(house.data / "backup"))
        assert inside.returncode == 2 and "inside the data folder" in inside.stderr
        busy = house.cli("restore", str(destination))
        assert busy.returncode == 2 and "a house runs" in busy.stderr
    full = house.cli("restore", str(destination))
    assert full.returncode == 2 and "not empty" in full.stderr and "mv " in full.stderr
    with House(tmp_path / "other") as other:
        foreign = other.cli("backup", str(destination))
        assert foreign.returncode == 2 and "another workspace" in foreign.stderr
    assert customhouse("backup", "list", str(destination), "--json").returncode == 0
    pruned = json.loads(customhouse("backup", "prune", str(destination), "--keep", "1", "--json").stdout)
    assert (pruned["kept"], pruned["snapshots"]) == (1, 1)
    assert customhouse("backup", "verify", str(destination)).returncode == 0
