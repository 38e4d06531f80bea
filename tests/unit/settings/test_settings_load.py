import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from customhouse.settings import load_yaml
from customhouse.settings.load import LARGEST, parse_yaml


def told(text):
    data, problems = parse_yaml(text, "c.yaml")
    return data, [str(p).partition("\n")[0] for p in problems]


def test_a_file_becomes_plain_data(tmp_path):
    path = tmp_path / "customhouse.yaml"
    path.write_text("\ufeffa: 1\nb: [x, 'y', 2.5, -3, 1e3, 0x10, 0o17]\nc: {d: true, e: ~, f: }\ng: |\n  text\n")
    data = {"a": 1, "b": ["x", "y", 2.5, -3, 1000.0, 16, 15], "c": {"d": True, "e": None, "f": None}, "g": "text\n"}
    assert load_yaml(path) == (data, [])


def test_an_empty_file_is_nothing(tmp_path):
    path = tmp_path / "customhouse.yaml"
    path.write_text("# only words\n")
    assert load_yaml(path) == (None, [])


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("on: off\nyes: no\nNO: y", {"on": "off", "yes": "no", "NO": "y"}),
        ("1: 2\nnull: ~\ntrue: x", {"1": 2, "null": None, "true": "x"}),
        ("at: 2024-01-02\nhalf: 12:30:45\nmany: 1_000", {"at": "2024-01-02", "half": "12:30:45", "many": "1_000"}),
        ("'a': '1'\nb: ! 2", {"a": "1", "b": "2"}),
        ("a: &x [1, 2]\nb: *x", {"a": [1, 2], "b": [1, 2]}),
        ("=", "="),
    ],
)
def test_the_surprises_of_older_yaml_do_not_happen(text, data):
    assert told(text) == (data, [])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3", "c.yaml:3:1: the same key twice"),
        ("a: 0777", "c.yaml:1:4: a number with a leading zero means different things to different readers"),
        ("a: .inf", "c.yaml:1:4: the number is too large, or not a number"),
        ("a: 1e999", "c.yaml:1:4: the number is too large, or not a number"),
        (f"a: {'9' * 5000}", "c.yaml:1:4: the number is too large, or not a number"),
        ("a: 9223372036854775808", "c.yaml:1:4: the number is too large, or not a number"),
        ("a: !!python/object:os.system x", "c.yaml:1:4: tags (`!…`) are not allowed"),
        ("a: &x {b: 1}\nc:\n  <<: *x", "c.yaml:3:3: merge keys (`<<`) are not part of YAML 1.2"),
    ],
)
def test_what_can_be_read_on_is_reported_and_read_on(text, problem):
    data, problems = told(text)
    assert isinstance(data, dict)
    assert problems == [problem]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("--- a\n--- b", "c.yaml:2:1: a second document begins here"),
        ("? [a]\n: b", "c.yaml:1:3: a key must be text, not a mapping or a list"),
        ("a: &x b\n*x : c", "c.yaml:2:1: a key must be text, not an alias"),
        ("a: *nothing", "c.yaml:1:4: the alias *nothing names nothing that is complete before it"),
        ("&a [*a]", "c.yaml:1:5: the alias *a names nothing that is complete before it"),
        ("[" * 65, "c.yaml:1:65: nested deeper than 64 levels"),
        ("a: 'x\nb: 1", "c.yaml:2:5: while scanning a quoted scalar, found unexpected end of stream"),
        ("a: \x07", "c.yaml: holds a character that YAML does not allow"),
    ],
)
def test_what_cannot_be_understood_is_no_data(text, problem):
    data, problems = told(text)
    assert data is None
    assert problems == [problem]


def test_a_bomb_of_aliases_does_not_go_off():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    data, problems = told("\n".join(lines))
    assert data is None
    assert [p.partition(": ")[2] for p in problems] == ["holds more than 200000 values"]


def test_files_that_cannot_be_read_are_problems(tmp_path):
    (tmp_path / "latin").write_bytes(b"a: \xe9")
    (tmp_path / "large").write_bytes(b"#" * (LARGEST + 1))
    found = [load_yaml(tmp_path / name, f"plan/{name}") for name in ("none", "latin", "large", "")]
    assert [(data, [str(p).partition("\n")[0] for p in problems]) for data, problems in found] == [
        (None, ["plan/none: there is no such file"]),
        (None, ["plan/latin: is not UTF-8 at byte 3"]),
        (None, [f"plan/large: is over {LARGEST} bytes"]),
        (None, ["plan/: there is no such file"]),
    ]


@given(st.text(alphabet="ab:-[]{}&*!|>'\"#, \n\t01.?~<", max_size=60) | st.text(max_size=40))
def test_no_text_makes_it_raise(text):
    data, problems = parse_yaml(text, "c.yaml")
    assert all(problem.place.startswith("c.yaml") for problem in problems)
    assert data is None or isinstance(data, dict | list | str | int | float)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
        max_leaves=12,
    )
)
def test_what_others_write_is_read_as_they_meant_it(data):
    text = yaml.dump(data, Dumper=Plain, allow_unicode=True)
    assert parse_yaml(text, "c.yaml") == (data, [])


class Plain(yaml.SafeDumper):
    """Writes no aliases, and all text in quotes."""

    def ignore_aliases(self, data):
        return True


Plain.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))
