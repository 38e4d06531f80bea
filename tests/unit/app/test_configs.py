import json
import re

import msgspec
import pytest
from msgspec import inspect

from customhouse.app.configuration import Configuration
from customhouse.app.rules import newest, take_in
from customhouse.app.upkeep import written
from customhouse.app.upkeep.rollback import prospect, roll_back
from customhouse.app.windows.configs import Configs, shown, shown_as_yaml
from customhouse.app.windows.differences import Side, difference, summary
from customhouse.app.windows.masks import ANOTHER, MASK, masked
from customhouse.app.workspace import Workspace, accept, accepted
from customhouse.model.errors import Misconfigured

ONE = """\
# the shop's house
name: shop
sources:
  web: {write_key: literal-key-one}
destinations:
  lake: {type: lake}
routes:
  - to: lake
"""
TWO = ONE.replace("literal-key-one", "literal-key-two") + "limits: {depth: 10}\n"
EVENT = "event: Signed Up # said by marketing\nversion: {}\nowner: team\ndescription: Somebody signed up.\n"


@pytest.fixture
def workspace(tmp_path):
    made = Workspace(tmp_path, tmp_path / ".data")
    made.plan.mkdir()
    made.prepare()
    return made


def write(workspace, text, **plan):
    workspace.config_file.write_text(text)
    for path in workspace.plan.rglob("*.yaml"):
        path.unlink()
    for name, body in plan.items():
        (workspace.plan / f"{name}.yaml").write_text(body)


@pytest.fixture
def three(workspace):
    write(workspace, ONE)
    take_in(workspace, {})
    write(workspace, TWO, signed_up=EVENT.format("1.0.0"))
    take_in(workspace, {})
    write(workspace, TWO, signed_up=EVENT.format("1.1.0"))
    take_in(workspace, {})
    return workspace


def test_the_log_says_in_a_line_what_changed(three):
    lines = Configs(three).log(10)
    assert [(line.number, line.plan_release, line.in_force) for line in lines] == [
        (3, 3, True),
        (2, 2, False),
        (1, 1, False),
    ]
    assert lines[0].changed == "plan: Signed Up 1.0.0 → 1.1.0"
    assert lines[1].changed == "~ sources.web.write_key, + limits, plan: + Signed Up 1.0.0"
    assert [line.number for line in Configs(three).log(1, before=3)] == [2]


def test_only_the_versions_that_are_asked_for_are_read(three):
    (three.data / "config" / "00001.json").write_text("damaged")
    assert [line.number for line in Configs(three).log(1)] == [3]
    with pytest.raises(msgspec.MsgspecError):
        Configs(three).log(3)


def test_no_literal_secret_is_ever_shown(three):
    configs = Configs(three)
    found = configs.compare(1, 2)
    write(three, TWO.replace("key-two", "key-three"))
    disk = configs.disk()
    told = json.dumps([shown(configs.version(2)), msgspec.to_builtins(found), msgspec.to_builtins(disk)])
    told += shown_as_yaml(configs.version()) + "".join(line.changed for line in configs.log(9))
    assert "literal-key" not in told
    assert [change.place for change in found.changes if change.after == ANOTHER] == ["sources.web.write_key"]
    assert f"-    write_key: {MASK}" in found.text
    assert f"+    write_key: {ANOTHER}" in found.text


def secrets(kind, *, marked=False):
    """Yield plain data for every place below a type where a secret may stand, with the word `plain` as the secret."""
    if isinstance(kind, inspect.Metadata):
        yield from secrets(kind.type, marked=marked or bool((kind.extra or {}).get("secret")))
    elif isinstance(kind, inspect.UnionType):
        for part in kind.types:
            yield from secrets(part, marked=marked)
    elif isinstance(kind, inspect.DictType):
        yield from ({"x": below} for below in secrets(kind.value_type, marked=marked))
    elif isinstance(kind, inspect.ListType | inspect.VarTupleType):
        yield from ([below] for below in secrets(kind.item_type, marked=marked))
    elif isinstance(kind, inspect.StructType):
        tag = {kind.tag_field: kind.tag} if kind.tag_field else {}
        for field in kind.fields:
            yield from (tag | {field.encode_name: below} for below in secrets(field.type))
    elif marked and isinstance(kind, inspect.StrType):
        yield "plain"


def test_every_place_that_is_marked_secret_is_masked():
    found = list(secrets(inspect.type_info(Configuration)))
    assert len(found) >= 5
    for data in [*found, {"sources": {"x": {"write_key": "plain"}}}, {"unknown": {"api_token": "plain"}}]:
        assert "plain" not in str(masked(data)), data
        reference = json.loads(json.dumps(data).replace("plain", "env:NAME"))
        assert masked(reference) == reference


def test_credentials_in_addresses_are_masked():
    data = {"url": "https://me:pass@example.com/in?token=abc#x", "limits": {"depth": 3, "names": ["a"]}}
    assert masked(data) == {"url": f"https://{MASK}@example.com/in?{MASK}#x", "limits": {"depth": 3, "names": ["a"]}}


def test_differences_name_the_highest_place_that_is_new_or_gone():
    before = {"a": {"x": 1, "y": 2}, "list": [{"to": "lake"}, {"to": "hook"}], "gone": True}
    after = {"list": [{"to": "lake"}, {"to": "other"}, {"to": "third"}], "a": {"y": 2, "x": 1, "z": 3}}
    found = difference(Side("one", before, []), Side("two", after, []))
    assert {(c.kind, c.place, str(c.before), str(c.after)) for c in found.changes} == {
        ("added", "a.z", "None", "3"),
        ("changed", "list[1].to", "hook", "other"),
        ("added", "list[2]", "None", "{'to': 'third'}"),
        ("removed", "gone", "True", "None"),
    }
    assert summary(found) == "+ a.z, ~ list[1].to, + list[2] and 1 more"


def test_another_order_of_keys_is_no_difference():
    found = difference(
        Side("one", {"a": 1, "b": {"c": 1, "d": 2}}, []), Side("two", {"b": {"d": 2, "c": 1}, "a": 1}, [])
    )
    assert found.same
    assert found.text == []


def test_true_and_one_are_not_the_same():
    assert not difference(Side("one", {"a": 1}, []), Side("two", {"a": True}, [])).same


def test_the_files_on_disk_are_compared_without_what_flags_said(workspace):
    write(workspace, ONE)
    take_in(workspace, {"listen.port": 18080})
    disk = Configs(workspace).disk()
    assert disk.difference.same
    assert not disk.loadable
    workspace.config_file.write_text(ONE + "# a remark\n")
    assert Configs(workspace).disk().only_text == ["customhouse.yaml"]
    workspace.config_file.write_text(ONE + "limits: {depth: 9}\n")
    assert Configs(workspace).disk().loadable
    workspace.config_file.write_text(ONE + "limits: {depth: none}\n")
    broken = Configs(workspace).disk()
    assert [problem.place for problem in broken.problems] == ["customhouse.yaml: limits.depth"]
    assert not broken.loadable
    assert not broken.difference.same


def test_a_rollback_brings_files_back_and_counts_on(three):
    roll_back(three, 1, {})
    assert three.config_file.read_text() == ONE
    assert list(three.plan.iterdir()) == []
    version = take_in(three, {})
    assert (version.number, version.plan_release, version.rolled_back_to) == (4, 4, 1)
    assert version.content == accepted(three, 1).content
    assert newest(three).configuration.limits.depth != 10
    assert written.returning(three) is None
    assert Configs(three).log(1)[0].changed.startswith("back to 1: ")


def test_changes_that_were_never_loaded_are_not_lost(three):
    (three.plan / "new.yaml").write_text(EVENT.format("1.0.0").replace("Signed Up", "New"))
    (three.plan / "signed_up.yaml").unlink()
    with pytest.raises(Misconfigured) as refused:
        roll_back(three, 1, {})
    assert [problem.place for problem in refused.value.problems] == ["plan/new.yaml", "plan/signed_up.yaml"]
    assert three.config_file.read_text() == TWO
    roll_back(three, 1, {}, force=True)
    assert three.config_file.read_text() == ONE
    assert list(three.plan.iterdir()) == []


def test_what_was_looked_at_is_what_is_replaced(three):
    seen = prospect(three, 1).seen
    three.config_file.write_text(TWO + "# saved a moment ago\n")
    with pytest.raises(Misconfigured, match="changed since you looked"):
        roll_back(three, 1, {}, seen=seen, force=True)


def test_a_version_that_cannot_run_today_is_refused_before_anything_is_written(three):
    (three.root / "web.key").write_text("k")
    write(three, ONE.replace("literal-key-one", "file:web.key"))
    take_in(three, {})
    write(three, ONE)
    take_in(three, {})
    (three.root / "web.key").unlink()
    with pytest.raises(Misconfigured, match=re.escape("no file web.key")):
        roll_back(three, 4, {})
    assert three.config_file.read_text() == ONE
    assert written.returning(three) is None


def test_a_rollback_that_was_cut_short_is_finished_by_whoever_accepts_next(three, monkeypatch):
    class PowerCutError(Exception):
        pass

    def cut(*_):
        raise PowerCutError

    with monkeypatch.context() as patch:
        patch.setattr(written, "_replace", cut)
        with pytest.raises(PowerCutError):
            roll_back(three, 1, {})
    assert three.config_file.read_text() == TWO
    assert take_in(three, {}).rolled_back_to == 1
    assert three.config_file.read_text() == ONE


def test_what_is_edited_after_a_rollback_is_no_rollback(three):
    roll_back(three, 1, {})
    three.config_file.write_text(ONE + "limits: {depth: 9}\n")
    version = take_in(three, {})
    assert (version.number, version.rolled_back_to) == (4, 0)
    assert written.returning(three) is None


def test_a_version_without_texts_is_written_anew(three):
    accept(three, msgspec.structs.replace(accepted(three, 2), files={}))
    assert prospect(three, 2).comments_lost
    roll_back(three, 2, {})
    assert "#" not in three.config_file.read_text()
    assert [path.name for path in three.plan.iterdir()] == ["signed_up.yaml"]
    version = take_in(three, {})
    assert (version.rolled_back_to, version.content) == (2, accepted(three, 2).content)


@pytest.mark.parametrize("name", ["../outside.yaml", "/etc/passwd", "plan/../../x.yaml", "plan/run.sh", ".data/format"])
def test_only_files_of_the_workspace_are_ever_written(three, name):
    accept(three, msgspec.structs.replace(accepted(three, 1), files={"customhouse.yaml": ONE, name: "x"}))
    with pytest.raises(Misconfigured, match="is no file of a configuration or plan"):
        roll_back(three, 1, {})


def test_links_are_not_written_through(three, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "real.yaml"
    three.config_file.rename(elsewhere)
    three.config_file.symlink_to(elsewhere)
    with pytest.raises(Misconfigured, match="through a link"):
        roll_back(three, 1, {})
    assert elsewhere.read_text() == TWO


def test_newer_comments_are_kept_without_a_new_number(three):
    three.config_file.write_text("# newer\n" + TWO)
    assert take_in(three, {}).number == 3
    assert accepted(three).files["customhouse.yaml"].startswith("# newer")


def test_a_rollback_to_what_is_in_force_changes_nothing(three):
    assert prospect(three, 3).same
    roll_back(three, 3, {})
    assert take_in(three, {}).number == 3


def test_a_number_nobody_gave_is_refused_in_words(three):
    with pytest.raises(Misconfigured, match="config log"):
        prospect(three, 9)
    with pytest.raises(Misconfigured, match="config log"):
        Configs(three).version(9)
