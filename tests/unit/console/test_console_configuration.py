"""The page Configuration on a real workspace: what it shows, what it hides, and when it offers to change something."""

import os
import threading
import time

import msgspec
import pytest
from desks import Client

from customhouse.app.process import Announcement
from customhouse.app.rules import take_in
from customhouse.app.windows.configuration import ConfigurationOf
from customhouse.app.workspace import Workspace
from customhouse.console.pages.configuration import configuration_page
from customhouse.state.jobs import Answer, Jobs

ONE = """\
name: shop
sources:
  web: {write_key: literal-key-one}
destinations:
  lake: {type: lake}
routes:
  - to: lake
"""
TWO = ONE.replace("key-one", "key-two") + "limits: {depth: 10}\n"
EVENT = "event: '<b>Signed</b> Up'\nversion: 1.0.0\nowner: team\ndescription: Somebody signed up.\n"


@pytest.fixture
def workspace(tmp_path):
    made = Workspace(tmp_path, tmp_path / ".data")
    made.plan.mkdir()
    made.prepare()
    for text in (ONE, TWO):
        made.config_file.write_text(text)
        take_in(made, {})
    return made


@pytest.fixture
def client(workspace):
    asking = Client(lambda desk: configuration_page(desk, ConfigurationOf(workspace)))
    yield asking
    asking.desk.close()


def test_it_says_what_is_in_force(workspace, client):
    got = client.get("/configuration")
    assert got.status == 200
    assert "Configuration 2 is in force" in got.text
    assert "the files on disk say the same" in got.text
    assert "Put in force" not in got.text
    rows = client.get("/configuration/versions.json").json()
    assert [(row["number"], row["state"]) for row in rows] == [(2, "in force"), (1, "")]
    assert rows[0]["changed"] == "~ sources.web.write_key, + limits"
    assert client.get("/configuration/versions.csv").text.startswith(
        "number,state,plan_release,accepted_at,changed\n2,in force,1,"
    )
    assert [row["number"] for row in client.get("/configuration/versions.json?before=2").json()] == [1]


def test_processes_are_told_by_what_they_work_by(workspace, client):
    said = Announcement(kind="collector", pid=os.getpid(), config=2, ready_at=time.time())
    (workspace.run / "collector.json").write_bytes(msgspec.json.encode(said))
    (workspace.run / "pipeline.json").write_bytes(
        msgspec.json.encode(msgspec.structs.replace(said, kind="pipeline", config=1))
    )
    rows = client.get("/configuration/processes.json").json()
    assert [(row["process"], row["config"], row["state"]) for row in rows] == [
        ("collector", 2, "in force"),
        ("pipeline", 1, "takes it up"),
        ("delivery", None, "not running"),
        ("console", None, "not running"),
    ]


def test_any_two_versions_are_compared_by_their_address(client):
    got = client.get("/configuration/diff?from=1&to=2")
    assert "2 changes" in got.text
    assert "+limits:" in got.text
    rows = client.get("/configuration/changes.json?from=1&to=2").json()
    assert [(row["place"], row["kind"]) for row in rows] == [("sources.web.write_key", "changed"), ("limits", "new")]
    assert rows[1]["after"] == '{"depth":10}'
    assert "say the same" in client.get("/configuration/diff?from=2").text


@pytest.mark.parametrize("query", ["", "?from=9&to=1", "?from=1&to=9", "?from=x", "?from=-1", "?from=99999999999"])
def test_versions_that_do_not_exist_are_not_found(client, query):
    assert client.get(f"/configuration/diff{query}").status == 404
    assert client.get("/configuration/version/9").status == 404


def test_no_literal_secret_is_on_any_page(workspace, client):
    workspace.config_file.write_text(TWO.replace("key-two", "key-three") + "# was: literal-key-four\n")
    pages = [
        "/configuration", "/configuration/diff?from=1&to=2", "/configuration/diff?from=1", "/configuration/version/1",
        "/configuration/changes.json?from=1&to=2", "/configuration/changes.csv?from=1",
    ]  # fmt: skip
    for path in pages:
        got = client.get(path)
        assert got.status == 200
        assert "literal-key" not in got.text, path
    assert "••••••" in client.get("/configuration/version/1").text


def test_what_users_wrote_is_text_and_never_markup(workspace, client):
    (workspace.plan / "x.yaml").write_text(EVENT)
    assert "<b>Signed" not in client.get("/configuration").text
    assert "&lt;b&gt;Signed&lt;/b&gt; Up" in client.get("/configuration").text
    take_in(workspace, {})
    assert "&lt;b&gt;Signed&lt;/b&gt; Up 1.0.0" in client.get("/configuration/version/3").text


def test_problems_are_told_before_the_files_are_loaded(workspace, client):
    workspace.config_file.write_text(TWO + "listn: {}\n")
    got = client.get("/configuration")
    assert (
        "The files on disk have 1 problem" in " ".join(got.text.split()) or "files on disk have 1 problem" in got.text
    )
    assert "configuration 2 stays in force" in got.text
    assert "Put in force" not in got.text
    rows = client.get("/configuration/problems.json").json()
    assert [(row["place"], row["kind"]) for row in rows if row["kind"] == "problem"] == [
        ("customhouse.yaml: listn", "problem")
    ]
    workspace.config_file.write_text("name: [")
    assert client.get("/configuration").status == 200
    assert client.get("/configuration/diff?from=1").status == 200


class Supervisor(threading.Thread):
    """Answers jobs of a workspace with what taking the files in really gives."""

    def __init__(self, workspace):
        super().__init__(daemon=True)
        self.workspace, self.jobs = workspace, Jobs(workspace.jobs("supervisor"))
        self.done, self.asked = threading.Event(), []

    def run(self):
        while not self.done.is_set():
            self.jobs.carry_out(self.perform)
            time.sleep(0.01)

    def perform(self, job):
        self.asked.append((job.verb, job.asked_by))
        version = take_in(self.workspace, {})
        return Answer(ok=True, message="reloaded", details={"config": version.number})

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()


def hidden(text, name):
    return text.split(f'name="{name}" value="')[1].split('"')[0]


def test_valid_changes_are_put_in_force_by_a_button(workspace, client):
    workspace.config_file.write_text(TWO + "name2: x\n".replace("name2: x", "retention: {received_days: 9}"))
    page = client.get("/configuration").text
    assert "1 change becomes configuration 3" in page
    with Supervisor(workspace) as supervisor:
        got = client.post("/configuration/load", {"seen": hidden(page, "seen")})
    assert (got.status, got.headers["location"]) == (303, "/configuration?loaded=3")
    assert supervisor.asked == [("reload", "console")]
    assert "Configuration 3 was put in force" in client.get("/configuration?loaded=3").text


def test_only_what_was_shown_is_put_in_force(workspace, client):
    workspace.config_file.write_text(TWO + "retention: {received_days: 9}\n")
    seen = hidden(client.get("/configuration").text, "seen")
    workspace.config_file.write_text(TWO + "retention: {received_days: 1}\n")
    with Supervisor(workspace) as supervisor:
        got = client.post("/configuration/load", {"seen": seen})
    assert got.status == 409
    assert "changed since this page was made" in got.text
    assert supervisor.asked == []


def test_a_form_of_nobody_changes_nothing(workspace, client):
    workspace.config_file.write_text(TWO + "retention: {received_days: 9}\n")
    seen = hidden(client.get("/configuration").text, "seen")
    with Supervisor(workspace) as supervisor:
        assert client.post("/configuration/load", {"seen": seen}, proof=False).status == 403
        assert client.post("/configuration/load", {"seen": seen}, origin="http://evil.example").status == 403
    assert supervisor.asked == []
