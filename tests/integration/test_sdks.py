"""
The official server SDKs, unchanged, pointed at a running house by the one line their documentation names.

Every kind of call arrives in the lake, once, with the fields the caller set; and what the door could not take at first,
the SDK's own retry brings.
"""

import json
import os
import shutil
import subprocess
import sys
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

import pytest
from house import House

HERE = Path(__file__).parent
NODE_MODULES = Path(os.environ.get("CUSTOMHOUSE_SDKS", HERE.parents[1] / ".sdks")) / "node" / "node_modules"
PYTHON_SDKS = {"segment-analytics-python": "segment.analytics", "rudder-sdk-python": "rudderstack.analytics"}
NODE_SDKS = ("@segment/analytics-node", "analytics-node", "@rudderstack/rudder-sdk-node")
SDKS = (*PYTHON_SDKS, *NODE_SDKS)
LIBRARIES = {
    "segment-analytics-python": ("analytics-python", "2.4.0"),
    "rudder-sdk-python": ("analytics-python", "2.1.9"),
    "@segment/analytics-node": ("@segment/analytics-node", "3.1.0"),
    "analytics-node": ("analytics-node", "6.2.0"),
    "@rudderstack/rudder-sdk-node": ("analytics-node", "3.0.13"),
}
SECONDS = 60

WHEN = "2026-01-02T03:04:05.678+00:00"
PROPERTIES = {"total": 25.5, "count": 3, "nested": {"list": [1, "two", None]}, "text": "ünïcode 🎉"}
TRAITS = {"plan": "pro", "age": 30}
CONTEXT = {"locale": "en-GB", "ip": "203.0.113.7"}

# What a caller says, in the words of the Node SDKs; the Python SDKs have the same in their own spelling.
CALLS = [
    ("identify", {"userId": "u1", "anonymousId": "a1", "traits": TRAITS}),
    ("track", {"userId": "u1", "event": "Order Completed", "properties": PROPERTIES, "context": CONTEXT}),
    ("track", {"anonymousId": "a1", "event": "Product Viewed", "timestamp": WHEN, "properties": {}}),
    ("page", {"userId": "u1", "category": "Shop", "name": "Home", "properties": {"url": "https://shop.example/"}}),
    ("screen", {"userId": "u1", "category": "Shop", "name": "Main", "properties": {"dark": True}}),
    ("group", {"userId": "u1", "groupId": "g1", "traits": {"employees": 12}}),
    ("alias", {"previousId": "a1", "userId": "u1"}),
]
SNAKE = {
    "userId": "user_id",
    "anonymousId": "anonymous_id",
    "groupId": "group_id",
    "previousId": "previous_id",
    "messageId": "message_id",
}


def needs(sdk):
    """Skip loudly when an SDK is not installed, with the command that installs it."""
    if sdk in PYTHON_SDKS:
        if find_spec(PYTHON_SDKS[sdk].partition(".")[0]) is None:
            pytest.skip(f"{sdk} is missing: .venv/bin/pip install -e '.[sdks]'")
    elif not (NODE_MODULES / sdk).is_dir() or shutil.which("node") is None:
        pytest.skip(f"{sdk} is missing: .ci/sdks (installs what {HERE.name}/node/package.json pins)")


def drive(sdk, url, calls, key):
    """Run the SDK's own process and insist that it believes everything was taken."""
    if sdk in PYTHON_SDKS:
        spelled = [(kind, {SNAKE.get(name, name): value for name, value in call.items()}) for kind, call in calls]
        command = [sys.executable, str(HERE / "sdks" / "drive.py")]
        environment = dict(os.environ)
    else:
        spelled = calls
        command = ["node", str(HERE / "node" / "drive.js")]
        environment = os.environ | {"NODE_PATH": str(NODE_MODULES), "NODE_OPTIONS": "--no-deprecation"}
    done = subprocess.run(
        [*command, sdk, url, key, json.dumps(spelled)], env=environment, capture_output=True, text=True,
        timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def open_house(tmp_path_factory):
    """One house with a source for each SDK, named and keyed by it."""
    sources = {f"sdk-{number}": {"write_key": key_of(sdk)} for number, sdk in enumerate(SDKS)}
    with House(tmp_path_factory.mktemp("sdks") / "house", sources=sources) as running:
        yield running


def key_of(sdk):
    return "key-" + sdk.strip("@").replace("/", "-")


@pytest.mark.parametrize("sdk", SDKS)
def test_every_call_arrives_once_with_its_fields(open_house, sdk):
    needs(sdk)
    drive(sdk, open_house.url, CALLS, key_of(sdk))
    open_house.settled()
    source = f"sdk-{SDKS.index(sdk)}"
    rows = open_house.sql(f"select * from events where source = '{source}' order by position")
    assert len(rows) == len(CALLS)
    assert len({row["message_id"] for row in rows}) == len(CALLS)
    for row in rows:
        for name in ("properties", "traits", "context"):
            row[name] = json.loads(row[name])
    found = {(row["type"], row["event"]): row for row in rows}

    identify = found["identify", ""]
    assert (identify["user_id"], identify["anonymous_id"], identify["traits"]) == ("u1", "a1", TRAITS)
    order = found["track", "Order Completed"]
    assert (order["user_id"], order["properties"]) == ("u1", PROPERTIES)
    assert {name: order["context"][name] for name in CONTEXT} == CONTEXT
    viewed = found["track", "Product Viewed"]
    assert (viewed["user_id"], viewed["anonymous_id"]) == (None, "a1")
    assert instant(viewed["original_at"]) == datetime.fromisoformat(WHEN)
    for kind, name, own in (("page", "Home", {"url": "https://shop.example/"}), ("screen", "Main", {"dark": True})):
        seen = found[kind, name]
        assert (seen["category"], seen["user_id"]) == ("Shop", "u1")
        assert own.items() <= seen["properties"].items()
    group = found["group", ""]
    assert (group["group_id"], group["user_id"], group["traits"]) == ("g1", "u1", {"employees": 12})
    alias = found["alias", ""]
    assert (alias["previous_id"], alias["user_id"]) == ("a1", "u1")

    for row in rows:
        library = row["context"]["library"]
        assert (library["name"], library["version"]) == LIBRARIES[sdk]
        assert row["sent_at"] and row["original_at"] and row["received_at"] and row["occurred_at"]
        assert "json_repaired" not in row["flags"] and "message_id_missing" not in row["flags"]
    assert open_house.balance()["unaccounted"] == 0


@pytest.mark.parametrize("sdk", SDKS)
def test_what_the_door_could_not_take_comes_again_and_is_taken_once(tmp_path, sdk):
    needs(sdk)
    sources = {"app": {"write_key": key_of(sdk)}}
    house = House(tmp_path / "house", sources=sources).start(faults="collector.before_append=eio@1")
    with house:
        calls = [("track", {"userId": "u1", "event": f"Event {number}"}) for number in range(5)]
        drive(sdk, house.url, calls, key_of(sdk))
        books = house.settled(acknowledged=5)
        rows = house.sql("select event from events order by 1")
        assert [row["event"] for row in rows] == [f"Event {number}" for number in range(5)]
        assert books["accounts"]["refused:log_unavailable"] >= 1, "the door did refuse at first"
        assert "dropped:duplicate" not in books["accounts"], "nothing refused was kept"
        assert (books["accounts"]["delivered:lake"], books["unaccounted"]) == (5, 0)


def instant(text):
    return datetime.fromisoformat(text)
