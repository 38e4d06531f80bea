"""`customhouse demo` through the real door: its report, held against the books, while the house stands and while it falls."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from house import House, customhouse

SHOP = Path(__file__).parents[2] / "examples" / "shop"
KEY = "shop-demo-key"


def copied(folder):
    """Return a house in a copy of the example shop, not yet running."""
    shutil.copytree(SHOP, folder, ignore=shutil.ignore_patterns(".data"))
    return House.at(folder)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """One running house for all tests that let it stand; they count what came in addition."""
    with copied(tmp_path_factory.mktemp("demo") / "shop") as running:
        yield running


class Running:
    """A demo in a process of its own."""

    def __init__(self, house, *options):
        self.receipts = house.folder / "receipts"
        command = [sys.executable, "-m", "customhouse.cli.main", "demo", "-w", str(house.folder), "--json"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CUSTOMHOUSE_")}
        self.process = subprocess.Popen(
            [*command, "--receipts", str(self.receipts), *options],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ids(self):
        """Return the message ids acknowledged so far, as far as the file has been written."""
        try:
            lines = self.receipts.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        return [id_ for line in lines[:-1] for id_ in json.loads(line)["message_ids"]]

    def report(self):
        """Wait for the end; return the report."""
        said, complaints = self.process.communicate(timeout=100)
        assert self.process.returncode == 0, said + complaints
        return json.loads(said)


def ends(books):
    """Return the accounts events have ended in, but for those that were delivered."""
    return Counter({name: n for name, n in books["accounts"].items() if name.startswith(("dropped:", "quarantined:"))})


def in_lake(shop):
    """Count what the lake holds: rows, different message ids, and flags that tell of clocks."""
    (row,) = shop.sql(
        "select count(*) as rows, count(distinct message_id) as ids,"
        " count(*) filter (list_contains(flags, 'clock_corrected')) as clock_wrong,"
        " count(*) filter (list_contains(flags, 'clock_future')) as clock_future from events"
    )
    return Counter(row)


def test_the_report_agrees_with_the_books(shop):
    # An event, so that there are books and a lake to count from.
    shop.cli_json("demo", "--events", "1", "--faults", "none")
    before, rows = shop.settled(acknowledged=1), in_lake(shop)
    report = shop.cli_json("demo", "--events", "2000", "--rate", "1000", "--faults", "many")
    sent = report["acknowledged"]
    assert (report["refused"], report["given_up"], report["retries"]) == ({}, 0, 0)
    assert report["sent"] == sent > 2000

    books = shop.settled(acknowledged=before["acknowledged"] + sent)
    assert books["unaccounted"] == 0
    assert books["acknowledged"] - before["acknowledged"] == sent
    assert ends(books) - ends(before) == report["expected"]
    made = {each["name"]: each["acknowledged"] for each in report["mistakes"]}
    delivered = sent - sum(report["expected"].values())
    assert in_lake(shop) - rows == {
        "rows": delivered,
        "ids": delivered,
        "clock_wrong": made["clock_wrong"],
        "clock_future": made["clock_future"],
    }
    assert len(shop.cli_json("trace", report["receipt"])) == int(report["receipt"].partition("+")[2])


def test_people_are_told_what_to_look_at_and_no_key(shop):
    told = shop.cli("demo", "--events", "50", "--rate", "1000")
    assert told.returncode == 0, told.stderr
    assert shop.console_url in told.stdout
    assert "customhouse balance -w" in told.stdout
    assert "customhouse quarantine list -w" in told.stdout
    assert KEY not in told.stdout + told.stderr


def test_nothing_acknowledged_is_lost_when_the_house_falls(tmp_path):
    with copied(tmp_path / "shop") as shop:
        demo = Running(shop, "--events", "4000", "--rate", "800", "--faults", "none")
        shop.wait_until(lambda: len(demo.ids()) > 500, what="the demo sends")
        shop.kill("collector")
        shop.wait_until(lambda: len(demo.ids()) > 1500, what="the demo goes on")
        shop.kill_all()
        before = set(demo.ids())
        shop.start()
        report = demo.report()
        acknowledged = demo.ids()
        assert (report["refused"], report["given_up"]) == ({}, 0)
        assert report["retries"] > 0
        assert report["sent"] == report["acknowledged"] == len(acknowledged) == len(set(acknowledged)) == 4000
        assert before < set(acknowledged)

        books = shop.settled(acknowledged=4000)
        assert books["unaccounted"] == 0
        # What was durable when the answer was lost came twice, and counts once.
        again = books["acknowledged"] - 4000
        assert ends(books) == ({"dropped:duplicate": again} if again else {})
        stored = {row["message_id"] for row in shop.sql("select message_id from events")}
        assert stored == set(acknowledged)


def test_ctrl_c_finishes_and_reports(shop):
    before = shop.settled()["acknowledged"]
    demo = Running(shop, "--for", "0", "--rate", "200")
    shop.wait_until(lambda: len(demo.ids()) > 100, what="the demo sends")
    demo.process.send_signal(signal.SIGINT)
    report = demo.report()
    assert report["sent"] == report["acknowledged"] == len(demo.ids())
    assert shop.settled()["acknowledged"] == before + report["acknowledged"]


def test_another_door_needs_no_workspace(shop, tmp_path):
    before = shop.settled()["acknowledged"]
    options = ("--url", shop.url, "--write-key", "env:DOOR_KEY", "--events", "80", "--rate", "500", "--json")
    done = customhouse("demo", *options, folder=tmp_path, DOOR_KEY=KEY)
    assert done.returncode == 0, done.stderr
    assert before + json.loads(done.stdout)["acknowledged"] == shop.settled()["acknowledged"]
    denied = customhouse("demo", *options, folder=tmp_path, DOOR_KEY="another")
    assert denied.returncode == 1
    assert json.loads(denied.stdout)["refused"].keys() == {"unknown_write_key"}


def test_without_a_house_it_says_what_to_do(tmp_path):
    done = copied(tmp_path / "shop").cli("demo")
    assert done.returncode == 2
    assert "start it: customhouse run" in done.stderr
    assert "Traceback" not in done.stderr
