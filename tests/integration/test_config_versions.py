"""Going back to an older configuration while events come in: files, numbers and books must agree in the end."""

import threading

from house import House
from knock import send

DEFINITION = {"event": "Item Seen", "version": "1.0.0", "owner": "team", "description": "Somebody saw an item."}


class Traffic(threading.Thread):
    """Sends events one after the other until it is told to stop, and counts those that were acknowledged."""

    def __init__(self, house):
        super().__init__(daemon=True)
        self.url, self.acknowledged, self.done = house.url, 0, threading.Event()

    def run(self):
        while not self.done.is_set():
            event = {"event": "Item Seen", "userId": "u", "messageId": f"m-{self.acknowledged}"}
            self.acknowledged += send(self.url, event).status == 200

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()


def files(house):
    paths = [house.folder / "customhouse.yaml", *sorted((house.folder / "plan").rglob("*.yaml"))]
    return {path.relative_to(house.folder).as_posix(): path.read_text() for path in paths}


def test_a_rollback_under_traffic_loses_no_event(house):
    before = files(house)
    with Traffic(house) as traffic:
        house.plan("item_seen", DEFINITION)
        (house.folder / "customhouse.yaml").write_text("# with a remark\n" + before["customhouse.yaml"])
        assert house.cli_json("reload")["config"] == 2
        sent = traffic.acknowledged
        house.wait_until(lambda: traffic.acknowledged > sent + 20, what="traffic under the second configuration")
        done = house.cli_json("config", "rollback", "1", "--yes")
        assert (done["config"], done["rolled_back_to"], done["written"], done["removed"]) == (3, 1, 1, 1)
        house.wait_until(lambda: house.announcements()["pipeline"]["config"] == 3, what="the pipeline works by it")
        sent = traffic.acknowledged
        house.wait_until(lambda: traffic.acknowledged > sent + 20, what="traffic under the third configuration")
    assert files(house) == before
    lines = house.cli_json("config", "log")
    assert [(line["number"], line["rolled_back_to"], line["in_force"]) for line in lines] == [
        (3, 1, True),
        (2, 0, False),
        (1, 0, False),
    ]
    books = house.settled(acknowledged=traffic.acknowledged)
    assert (books["unaccounted"], books["acknowledged"]) == (0, traffic.acknowledged)
    releases = house.sql("select plan_release, count(*) as n from events group by 1 order by 1")
    assert [row["plan_release"] for row in releases][-2:] == [2, 3]
    assert sum(row["n"] for row in releases) == traffic.acknowledged


def test_what_was_never_loaded_is_not_lost_by_a_rollback(house):
    house.write(limits={"depth": 20})
    assert house.cli_json("reload")["config"] == 2
    house.write(limits={"depth": 21})
    refused = house.cli("config", "rollback", "1", "--yes")
    assert refused.returncode == 2
    assert "would be lost" in refused.stderr
    shown = house.cli("config", "rollback", "1", "--dry-run")
    assert shown.returncode == 2
    assert "would lose  customhouse.yaml" in shown.stdout
    assert "depth: 21" in (house.folder / "customhouse.yaml").read_text()
    asked = house.cli("config", "rollback", "1", "--force")
    assert asked.returncode == 1, "nobody was there to say yes"
    assert house.cli("config", "rollback", "1", "--force", "--json").returncode == 2
    assert house.cli_json("config", "rollback", "1", "--force", "--yes")["config"] == 3
    assert "depth" not in (house.folder / "customhouse.yaml").read_text()


def test_a_closed_house_goes_back_at_its_next_start(tmp_path):
    house = House(tmp_path / "house")
    with house:
        before = files(house)
        house.write(limits={"depth": 20})
        assert house.cli_json("reload")["config"] == 2
    done = house.cli("config", "rollback", "1", "--yes")
    assert done.returncode == 0, done.stderr
    assert "at the next `customhouse run`" in done.stdout
    assert files(house) == before
    with house:
        newest = house.cli_json("config", "show")
        assert (newest["number"], newest["rolled_back_to"]) == (3, 1)
        assert house.cli_json("config", "diff")["same"]


def test_a_version_that_cannot_run_any_more_changes_nothing(house):
    (house.folder / "new.key").write_text("another-key\n")
    house.write(sources={"app": {"write_key": "file:new.key"}})
    assert house.cli_json("reload")["config"] == 2
    house.write(sources={"app": {"write_key": "integration-key"}})
    assert house.cli_json("reload")["config"] == 3
    (house.folder / "new.key").unlink()
    before = files(house)
    refused = house.cli("config", "rollback", "2", "--yes")
    assert refused.returncode == 2
    assert "there is no file new.key" in refused.stderr
    assert files(house) == before
    assert house.cli_json("config", "log")[0]["number"] == 3
    assert send(house.url, {"event": "Item Seen", "userId": "u"}).status == 200


def test_differences_are_told_to_people_and_programs(house):
    house.write(limits={"depth": 20})
    assert house.cli("config", "diff", "--exit-code").returncode == 1
    told = house.cli("config", "diff")
    assert told.returncode == 0
    assert "+  depth: 20" in told.stdout.splitlines()
    assert "\x1b" not in told.stdout
    changes = house.cli_json("config", "diff")["changes"]
    assert [(change["kind"], change["place"], change["after"]) for change in changes] == [
        ("added", "limits", {"depth": 20})
    ]
    (house.folder / "customhouse.yaml").write_text("name: [")
    assert house.cli("config", "diff").returncode == 2
