"""History from files into a running house: every row once, with its own time, whatever is killed meanwhile."""

import gzip
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from house import KEY

ROWS = 20_000
BEGIN = datetime(2019, 3, 1, 12, tzinfo=UTC)
FIRST = int(BEGIN.timestamp())


def history(path, rows, *, every_id=3):
    """Write a history in which each row lies a second behind the one before; some have an id, some look alike."""
    with path.open("w") as file:
        for n in range(rows):
            number = n - n % 10 if every_id and n % 10 in (1, 2) else n  # three rows of ten say the same
            event = {
                "type": "track", "event": "Long Ago", "userId": f"u{number % 50}",
                "timestamp": (BEGIN + timedelta(seconds=number)).isoformat(), "properties": {"n": number},
                "sentAt": "2026-01-01T00:00:00Z",
            }  # fmt: skip
            if every_id and number == n and n % every_id == 0:
                event["messageId"] = f"own-{n}"
            file.write(json.dumps(event) + "\n")


def begin(house, *args):
    """Start an import and leave it running."""
    command = [sys.executable, "-m", "customhouse.cli.main", "import", *args, "--workspace", str(house.folder)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CUSTOMHOUSE_")}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def settled_rows(house):
    """Return at which row the only record of an import stands."""
    for path in (house.data / "imports").glob("*.json"):
        return json.loads(path.read_text())["rows"]
    return 0


def test_an_import_that_is_killed_goes_on_and_every_row_is_there_once(house, tmp_path):
    path = tmp_path / "history.jsonl"
    history(path, ROWS)
    running = begin(house, str(path), "--source", "app")
    at = house.wait_until(lambda: settled_rows(house), what="the first batch")
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert at <= settled_rows(house) < ROWS, "it was killed in the middle"
    done = house.cli_json("import", str(path), "--source", "app")
    assert done["skipped"] >= at
    assert done["rows"] == ROWS
    assert done["acknowledged"] == ROWS - done["skipped"]
    again = house.cli_json("import", str(path), "--source", "app")
    assert (again["already"], again["rows"]) == (True, ROWS)
    once_more = house.cli_json("import", str(path), "--source", "app", "--again")
    assert once_more["acknowledged"] == ROWS
    books = house.settled(acknowledged=2 * ROWS)
    assert books["unaccounted"] == 0
    query = f"""select count(*) as rows, count(distinct message_id) as ids,
        count(*) filter (where epoch_us(occurred_at) = ({FIRST} + (properties->>'$.n')::bigint) * 1000000) as in_time,
        count(*) filter (where len(flags) > 0) as flagged from events"""
    (found,) = house.sql(query)
    assert found == {"rows": ROWS, "ids": ROWS, "in_time": ROWS, "flagged": 0}


def test_an_import_waits_for_a_door_that_is_killed(house, tmp_path):
    path = tmp_path / "history.jsonl.gz"
    plain = tmp_path / "plain.jsonl"
    history(plain, ROWS)
    path.write_bytes(gzip.compress(plain.read_bytes(), 1))
    running = begin(house, str(path), "--source", "app", "--json")
    house.wait_until(lambda: settled_rows(house), what="the first batch")
    house.kill("collector")
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    assert json.loads(said)["acknowledged"] == ROWS
    books = house.settled(acknowledged=ROWS)
    assert books["unaccounted"] == 0
    assert house.sql("select count(*) as rows, count(distinct message_id) as ids from events") == [
        {"rows": ROWS, "ids": ROWS}
    ]


def test_ctrl_c_says_where_it_stopped(house, tmp_path):
    path = tmp_path / "history.jsonl"
    history(path, ROWS)
    running = begin(house, str(path), "--source", "app")
    house.wait_until(lambda: settled_rows(house), what="the first batch")
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=20)
    assert running.returncode == 130
    assert "goes on from there" in said.decode()
    assert house.cli_json("import", str(path), "--source", "app")["rows"] == ROWS


def test_csv_is_mapped_and_what_cannot_be_read_is_listed(house, tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text("user id,when,total\na,2020-05-01T10:00:00+02:00,12.5\nb,never,1\nc,2020-05-02,x\nd,2020-05-03,7\n")
    words = ["--source", "app", "--set", "event=Order Completed", "--map", "user id=userId", "--map", "when=timestamp"]
    words += ["--map", "total=properties.total:number"]
    dry = house.cli("import", str(path), *words, "--dry-run", "1")
    assert dry.returncode == 3
    assert json.loads(dry.stdout[: dry.stdout.rindex("}") + 1])["userId"] == "a"
    assert "row 2 (line 3): mapping_failed" in dry.stderr
    assert not (house.data / "imports").exists()
    done = house.cli_json("import", str(path), *words, codes=(3,))
    assert (done["acknowledged"], done["refused"], done["reasons"]) == (2, 2, {"mapping_failed": 2})
    listed = [json.loads(line) for line in (tmp_path / "orders.csv.refused.jsonl").read_text().splitlines()]
    assert [(line["row"], line["columns"]["user id"]) for line in listed] == [(2, "b"), (3, "c")]
    house.settled(acknowledged=2)
    rows = house.sql(
        "select user_id, epoch_us(occurred_at) as at, properties->>'$.total' as total from events order by user_id"
    )
    assert rows == [
        {"user_id": "a", "at": 1588320000000000, "total": "12.5"}, {"user_id": "d", "at": 1588464000000000, "total": "7"},
    ]  # fmt: skip
    told = house.cli("import", str(path), *words)
    assert told.returncode == 0
    assert "imported before" in told.stdout
    assert KEY not in told.stdout + told.stderr + dry.stdout + dry.stderr


def test_standard_input_is_read_once_through(house):
    command = [
        sys.executable,
        "-m",
        "customhouse.cli.main",
        "import",
        "-",
        "--format",
        "jsonl",
        "--source",
        "app",
        "--json",
    ]
    events = "".join(
        json.dumps({"event": "E", "userId": "u", "timestamp": f"2020-01-0{n}"}) + "\n" for n in range(1, 4)
    )
    done = subprocess.run(
        [*command, "--workspace", str(house.folder)],
        input=events + "no\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    said = json.loads(done.stdout)
    assert (done.returncode, said["acknowledged"], said["refused"]) == (3, 3, 1)
    assert house.settled(acknowledged=3)["unaccounted"] == 0


def test_a_closed_house_is_said_at_once(tmp_path, house):
    path = tmp_path / "history.jsonl"
    history(path, 5)
    house.stop()
    done = house.cli("import", str(path), "--source", "app")
    assert done.returncode == 1
    assert "customhouse run" in done.stderr
    wrong = house.cli("import", str(path), "--source", "nobody")
    assert wrong.returncode == 2
    assert "there are: app" in wrong.stderr
