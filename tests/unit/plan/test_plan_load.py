from pathlib import Path

import pytest

from customhouse.model.errors import Misconfigured
from customhouse.plan.load import MAX_BYTES, load, problems

GOOD = """\
event: Signed Up
version: 1.0.0
owner: team-accounts
description: Somebody opened an account.
requires: [user_id, context.page.url]
properties:
  method: {enum: [email, google]}
required: [method]
"""


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "plan"
    made.mkdir()
    return made


def write(folder: Path, name: str, text: str | bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)


def told(folder: Path) -> list[str]:
    return [f"{problem.place} | {problem.message}" for problem in problems(folder)]


def test_a_plan_is_all_files_of_the_folder_and_its_subfolders(folder):
    write(folder, "signed_up.yaml", GOOD)
    write(folder, "deep/er/out.yml", GOOD.replace("Signed Up", "Signed Out"))
    write(folder, "identify.yaml", GOOD.replace("event: Signed Up", "type: identify"))

    assert [definition.title for definition in load(folder).events] == [
        "identify",
        "track `Signed Out`",
        "track `Signed Up`",
    ]


def test_other_files_and_hidden_ones_may_lie_there(folder):
    write(folder, "README.md", "# not yaml: [")
    write(folder, ".signed_up.yaml", "nonsense")
    write(folder, ".git/config.yaml", "nonsense")

    assert load(folder).events == ()


def test_a_folder_that_is_not_there_is_no_empty_plan(tmp_path):
    assert told(tmp_path / "plan") == ["plan/ | there is no such folder"]


def test_problems_of_all_files_come_at_once(folder):
    write(folder, "a.yaml", GOOD.replace("owner: team-accounts\n", "").replace("1.0.0", "one"))
    write(folder, "b.yaml", GOOD.replace("requires", "require").replace("enum", "enumm"))
    write(folder, "c.yaml", "event: [")

    with pytest.raises(Misconfigured) as caught:
        load(folder)

    assert [problem.place for problem in caught.value.problems] == [
        "plan/a.yaml: owner",
        "plan/a.yaml: version",
        "plan/b.yaml: require",
        "plan/b.yaml: properties.method.enumm",
        "plan/c.yaml:2:1",
    ]
    assert problems(folder) == caught.value.problems


def test_two_files_for_one_event(folder):
    write(folder, "one.yaml", GOOD)
    write(folder, "two.yaml", GOOD)
    write(folder, "page.yaml", GOOD.replace("event:", "type: page\nevent:"))

    assert told(folder) == ["plan/two.yaml: event | track `Signed Up` is already defined in plan/one.yaml"]


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("not utf-8", b"event: \xff\xfe"),
        ("too large", b"#" * (MAX_BYTES + 1)),
        ("alias bomb", BOMB),
        ("deep", "event: " + "[" * 5000),
        ("a tag", "event: !!python/object:os.system x"),
        ("a second document", GOOD + "---\n" + GOOD),
        ("a key twice", GOOD + "owner: somebody-else\n"),
        ("a merge key", GOOD + "<<: {a: 1}\n"),
        ("an alias of itself", "event: &a [*a]"),
        ("control characters", "event: \x01"),
        ("empty", ""),
        ("a list", "- event: x"),
    ],
)
def test_files_that_are_no_definition_are_problems_with_their_name(folder, name, text):
    write(folder, "x.yaml", text)

    assert told(folder), name
    assert all(line.startswith("plan/x.yaml") for line in told(folder))


def test_the_line_of_broken_yaml_is_told(folder):
    write(folder, "x.yaml", "event: a\nversion: b: c\n")

    assert told(folder)[0].startswith("plan/x.yaml:2:")


def test_the_example_shop_has_a_plan_that_loads():
    shop = Path(__file__).parents[3] / "examples" / "shop" / "plan"

    assert {"Order Completed", "Product Viewed", "Signed Up"} <= {definition.event for definition in load(shop).events}
