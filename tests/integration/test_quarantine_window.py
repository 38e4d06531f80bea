"""The quarantine through both windows, of real processes: groups, previews, repairs of many, refusals, and a pipeline that is away."""

import http.client
import json
import os
import re
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlencode, urlsplit

import pytest
from house import House
from knock import send

ORDER = {
    "event": "Order Completed",
    "version": "1.2.0",
    "owner": "shop",
    "description": "An order was paid.",
    "properties": {"total": {"type": "number"}},
    "required": ["total"],
}


class Console:
    """Asks the console as a browser on this machine would."""

    def __init__(self, url):
        self.place = urlsplit(url).netloc
        self.cookie = ""

    def get(self, path, accept="text/html"):
        return self._ask("GET", path, None, {"accept": accept})

    def post(self, path, **form):
        page = self.get("/quarantine")[1]
        proof = re.search(r'X-Customhouse-Proof":"([0-9a-f]+)"', page)[1]
        body = urlencode(form | {"_proof": proof}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded", "origin": f"http://{self.place}"}
        return self._ask("POST", path, body, headers)

    def json(self, path):
        status, text, _ = self.get(path)
        assert status == 200, text
        return json.loads(text)

    def finished(self, house, answer):
        """Follow to the run of an act, and return what it says in the end."""
        assert answer[0] == 303, answer[1]
        path = answer[2]["location"]
        return house.wait_until(lambda: self._ended(path), 30, "the run has ended")

    def _ended(self, path):
        text = self.get(path)[1]
        return "" if 'hx-trigger="every' in text else " ".join(re.sub(r"<[^>]+>", "", text).split())

    def _ask(self, method, path, body, headers):
        connection = http.client.HTTPConnection(self.place, timeout=40)
        connection.request(method, path, body, headers | ({"cookie": self.cookie} if self.cookie else {}))
        got = connection.getresponse()
        text = got.read().decode()
        if said := got.headers.get("set-cookie"):
            self.cookie = said.partition(";")[0]
        connection.close()
        return got.status, text, {name.lower(): value for name, value in got.getheaders()}


class Refusing(BaseHTTPRequestHandler):
    """A destination that refuses every event, until it is told otherwise."""

    status = 400

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_args):
        pass


@pytest.fixture
def hook():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    server.status = 400
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def house(tmp_path, hook):
    destinations = {
        "lake": {"type": "lake", "flush_seconds": 0.2},
        "hook": {"type": "webhook", "url": f"http://127.0.0.1:{hook.server_port}/"},
    }
    routes = [{"to": "lake"}, {"to": "hook"}]
    with House(tmp_path / "shop", plan={"order": ORDER}, destinations=destinations, routes=routes) as running:
        yield running


def knock(house, *totals):
    for nth, total in enumerate(totals):
        body = {"event": "Order Completed", "userId": "u", "messageId": f"o-{nth}", "properties": {"total": total}}
        assert send(house.url, body).status == 200


def test_a_group_is_counted_foreseen_repaired_and_replayed(house):
    knock(house, *(f"{nth}.5" for nth in range(7)), "free")
    house.settled(acknowledged=8)
    (group,) = house.cli_json("quarantine", "groups")
    assert (group["reason"], group["event"], group["count"]) == ("schema_violation", "Order Completed", 8)
    assert group["sources"] == {"app": 8}
    table = house.cli("quarantine", "groups").stdout
    assert "schema_violation" in table
    assert "Repair the sender" in table

    books = house.balance()
    foreseen = house.cli_json("quarantine", "replay", "--all", "--dry-run")
    assert foreseen["would_replay"] == foreseen["judged"] == 8
    assert (foreseen["would_pass"], foreseen["would_be_held"]) == (0, {"schema_violation": 8})
    assert house.cli_json("quarantine", "discard", "--all", "--dry-run") == {"would_discard": 8}

    console = Console(house.console_url)
    (row,) = console.json("/quarantine.json")
    assert row["events"] == 8
    steps = {"do0": "convert", "path0": "properties.total", "type0": "number"}
    told = console.post("/quarantine/repair/preview", reason="schema_violation", **steps)[1]
    assert "7 of 8 would pass" in told
    assert "lake: 7" in told and "hook: 7" in told
    assert house.balance()["accounts"] == books["accounts"], "a preview changes nothing"
    assert console.json("/quarantine/audit.json") == [], "and is no act"

    handed = re.search(r'name="steps" value="([^"]*)"', told)[1].replace("&#34;", '"')
    done = console.finished(house, console.post("/quarantine/replay", reason="schema_violation", steps=handed))
    assert "8 events were replayed; 7 passed, 1 is held again" in done
    house.settled()
    totals = house.sql("select properties from events where event = 'Order Completed'")
    assert sorted(json.loads(row["properties"])["total"] for row in totals) == [nth + 0.5 for nth in range(7)]
    (act,) = console.json("/quarantine/audit.json")
    assert (act["verb"], act["events"], act["done"], act["again"]) == ("replay", 8, 8, 1)
    assert (act["window"], act["owner"]) == ("console", "pipeline")


def test_what_a_destination_refused_stands_in_the_same_list(house, hook):
    knock(house, 1, 2, 3)
    house.wait_until(lambda: house.balance()["accounts"].get("rejected:hook") == 3, 30, "refused")
    console = Console(house.console_url)
    (row,) = console.json("/quarantine.json?destination=hook")
    assert (row["reason"], row["events"]) == ("destination_refused", 3)
    lines = console.json("/quarantine/events.json?destination=hook")
    told = console.get("/quarantine/preview?verb=replay&destination=hook")[1]
    assert "3 would be sent once more" in told
    assert "would pass" not in told, "what a destination answers, only it can say"

    hook.status = 200
    one = f"{lines[0]['id']}@hook"
    assert "1 event was replayed" in console.finished(house, console.post("/quarantine/replay", ids=one))
    house.wait_until(lambda: house.balance()["accounts"].get("delivered:hook") == 1, 30, "delivered")
    assert "2 events were discarded" in console.finished(house, console.post("/quarantine/discard", destination="hook"))
    assert house.settled()["accounts"]["dropped:discarded"] == 2
    house.wait_until(lambda: console.json("/quarantine.json") == [], 10, "the group is gone")


def test_while_the_pipeline_is_away_it_is_said_and_the_job_is_left(house):
    knock(house, "a", "b")
    house.settled(acknowledged=2)
    console = Console(house.console_url)
    pipeline = house.pids()["pipeline"]
    os.kill(pipeline, signal.SIGSTOP)  # it answers nothing, and nobody starts it anew
    (house.data / "run" / "pipeline.json").rename(house.data / "run" / "away")
    try:
        told = console.get("/quarantine/preview?verb=replay&reason=schema_violation")[1]
        assert "the pipeline does not run" in told and "<form" not in told
        failed = house.cli("quarantine", "replay", "--all", "--dry-run")
        assert failed.returncode == 1 and "the pipeline does not run" in failed.stderr
        done = console.finished(house, console.post("/quarantine/discard", reason="schema_violation"))
        assert "The job for 2 events was left and will be done once it runs" in done
    finally:
        (house.data / "run" / "away").rename(house.data / "run" / "pipeline.json")
        os.kill(pipeline, signal.SIGCONT)
    house.wait_until(lambda: house.balance()["accounts"].get("dropped:discarded") == 2, 30, "the job that was left")


def test_what_the_page_shows_follows_what_comes_and_goes(house):
    console = Console(house.console_url)
    assert console.json("/quarantine.json") == []
    knock(house, "a")
    house.wait_until(lambda: [row["events"] for row in console.json("/quarantine.json")] == [1], 20, "it is counted")
    assert send(house.url, {"messageId": "nameless", "userId": "u"}).status == 200
    house.wait_until(lambda: len(console.json("/quarantine.json")) == 2, 20, "and the next")
    assert house.cli_json("quarantine", "discard", "--all", "--reason", "name_missing", "--yes") == {"discarded": 1}
    house.wait_until(lambda: len(console.json("/quarantine.json")) == 1, 20, "and what is gone is gone")
