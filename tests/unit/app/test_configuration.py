import pytest

from customhouse.app.configuration import Configuration, read
from customhouse.app.rules import newest, take_in
from customhouse.app.workspace import Workspace, accepted
from customhouse.model.errors import Misconfigured
from customhouse.settings import undescribed

GOOD = """\
name: shop
sources:
  web: {write_key: literal-key}
destinations:
  lake: {type: lake}
routes:
  - to: lake
"""
PLANNED = "event: Signed Up\nversion: 1.0.0\nowner: team\ndescription: Somebody signed up.\nproperties: {}\n"


@pytest.fixture
def workspace(tmp_path):
    made = Workspace(tmp_path, tmp_path / ".data")
    made.plan.mkdir()
    made.config_file.write_text(GOOD)
    made.prepare()
    return made


def places(workspace, text):
    workspace.config_file.write_text(text)
    with pytest.raises(Misconfigured) as caught:
        read(workspace, {})
    return [problem.place for problem in caught.value.problems]


def test_every_field_a_user_may_write_is_described():
    assert undescribed(Configuration) == []


def test_a_mistake_in_one_place_hides_none_in_another(workspace):
    (workspace.plan / "x.yaml").write_text("event: X\nversion: one\n")
    text = """\
name: shop
listn: {}
sources:
  web: {write_key: file:nowhere}
  other: {write_key: k, protocol: segmnt}
destinations:
  trail: {type: lake}
  hook: {type: webhook, url: ftp://x}
routes:
  - to: lake
  - to: hook
    when: {sources: [nobody]}
"""
    found = places(workspace, text)
    for place in (
        "customhouse.yaml: listn",
        "customhouse.yaml: sources.web.write_key",
        "customhouse.yaml: sources.other.protocol",
        "customhouse.yaml: destinations.trail",
        "customhouse.yaml: destinations.hook.url",
        "customhouse.yaml: routes[0].to",
        "customhouse.yaml: routes[1].when.sources",
        "plan/x.yaml: version",
    ):
        assert place in found


@pytest.mark.parametrize("name", ["a/b", "", " x", "-x", "x" * 65, "ü"])
def test_names_are_plain_because_they_stand_in_keys_and_labels(workspace, name):
    text = GOOD.replace("lake: {type: lake}", f"{name!r}: {{type: lake}}").replace("to: lake", f"to: {name!r}")
    assert f"customhouse.yaml: destinations.{name}" in places(workspace, text)


def test_two_sources_with_one_key_are_refused(workspace):
    text = GOOD.replace("web: {write_key: literal-key}", "web: {write_key: k}\n  app: {write_key: k}")
    assert places(workspace, text) == ["customhouse.yaml: sources.app.write_key"]


def test_the_owed_log_must_outlive_the_dedupe_window(workspace):
    assert places(workspace, GOOD + "retention: {owed_days: 7}\n") == ["customhouse.yaml: retention.owed_days"]


def test_flags_stand_above_the_file(workspace):
    _, configuration, _ = read(workspace, {"listen.port": 18080})
    assert configuration.listen.port == 18080


def test_a_number_is_given_only_when_something_changed(workspace):
    first = take_in(workspace, {})
    assert (first.number, first.plan_release) == (1, 1)
    assert take_in(workspace, {}).number == 1
    workspace.config_file.write_text(GOOD + "limits: {depth: 10}\n")
    second = take_in(workspace, {})
    assert (second.number, second.plan_release) == (2, 1)
    (workspace.plan / "signed_up.yaml").write_text(PLANNED)
    third = take_in(workspace, {})
    assert (third.number, third.plan_release) == (3, 2)
    rules = newest(workspace)
    assert (rules.versions.config, rules.versions.plan) == (3, 2)
    assert rules.configuration.limits.depth == 10
    assert len(rules.plan.events) == 1


def test_a_bad_file_changes_nothing(workspace):
    take_in(workspace, {})
    workspace.config_file.write_text("name: [")
    with pytest.raises(Misconfigured):
        take_in(workspace, {})
    assert accepted(workspace).number == 1


@pytest.mark.parametrize("partitions", [1, 3])
def test_another_number_of_partitions_is_refused_once_there_are_events(workspace, partitions):
    take_in(workspace, {"partitions": 4})
    take_in(workspace, {"partitions": 2})
    (workspace.log / "received" / "0").mkdir(parents=True)
    take_in(workspace, {"partitions": 2})
    with pytest.raises(Misconfigured, match="set it to 2"):
        take_in(workspace, {"partitions": partitions})


def test_secrets_are_never_frozen(workspace, monkeypatch):
    monkeypatch.setenv("WEB_KEY", "very-secret-text")
    workspace.config_file.write_text(GOOD.replace("literal-key", "env:WEB_KEY"))
    take_in(workspace, {})
    assert "very-secret-text" not in "".join(p.read_text() for p in (workspace.data / "config").iterdir())


def test_a_newer_data_folder_is_refused_in_words(tmp_path):
    (tmp_path / ".data").mkdir()
    (tmp_path / ".data" / "format").write_text("9\n")
    with pytest.raises(Misconfigured, match="format 9"):
        Workspace(tmp_path, tmp_path / ".data").prepare()
