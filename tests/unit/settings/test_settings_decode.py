import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from settings_example import GOOD, Config, Lake, Source, Webhook

from customhouse.model.errors import Broken
from customhouse.settings import SecretRef, decode, tagged

FILE = "customhouse.yaml"


def changed(*path, to):
    data = copy.deepcopy(GOOD)
    spot = data
    for step in path[:-1]:
        spot = spot[step]
    spot[path[-1]] = to
    return data


def problems(data, kind=Config):
    value, found = decode(kind, data, FILE)
    assert (value is None) == bool(found)
    return [(p.place, p.message, p.hint) for p in found]


def test_a_sound_configuration_becomes_structs_with_defaults():
    config, found = decode(Config, GOOD, FILE)
    assert found == []
    assert isinstance(config.destinations["crm"], Webhook)
    assert isinstance(config.destinations["lake"], Lake)
    assert config.destinations["crm"].batch == 100
    assert repr(config.destinations["lake"].every) == "2.0"
    assert config.routes[0].unless.to == ["lake"]
    assert config.limits.retention == "forever"
    assert config.tags == frozenset({"a", "b"})
    assert config.sources["web"] == Source(write_key="env:WEB_KEY")


def test_all_problems_are_told_at_once_in_order():
    data = {
        "sources": {"web": {"write_kex": "x", "protocol": "segmnt", "enabled": "yes"}, "Web": {"write_key": 5}},
        "destinations": {"crm": {"type": "webook"}, "b": {}},
        "routs": [],
        "limits": {"body_bytes": 1, "retention": 1.5},
    }
    assert problems(data) == [
        (f"{FILE}: routs", "unknown key", "did you mean `routes`?"),
        (f"{FILE}: sources.web.write_kex", "unknown key", "did you mean `write_key`?"),
        (f"{FILE}: sources.web.write_key", "missing; expected text", ""),
        (
            f"{FILE}: sources.web.protocol",
            "`segmnt` is not one of `auto`, `rudderstack`, `segment`",
            "did you mean `segment`?",
        ),
        (f"{FILE}: sources.web.enabled", "expected true or false, found text", "write `true`"),
        (f"{FILE}: sources.Web", "`Web` does not match the pattern ^[a-z]+$", ""),
        (f"{FILE}: destinations.crm.type", "`webook` is not one of lake, webhook", "did you mean `webhook`?"),
        (f"{FILE}: destinations.b.type", "missing; expected one of lake, webhook", ""),
        (f"{FILE}: limits.body_bytes", "must be at least 1024", ""),
        (
            f"{FILE}: limits.retention",
            "expected a whole number or `forever` or nothing, found a number with a fraction",
            "",
        ),
    ]


@pytest.mark.parametrize(
    ("path", "to", "place", "message"),
    [
        (("sources",), {}, "sources", "must have at least 1 item"),
        (("sources",), None, "sources", "expected a mapping, found nothing"),
        (("sources", "web"), [], "sources.web", "expected a mapping, found a list"),
        (("sources", "web", "write_key"), "", "sources.web.write_key", "must have at least 1 character"),
        (("sources", "web", "write_key"), {"a": 1}, "sources.web.write_key", "expected text, found a mapping"),
        (
            ("destinations", "crm", "type"),
            3,
            "destinations.crm.type",
            "expected one of lake, webhook, found a whole number",
        ),
        (
            ("destinations", "crm", "batch"),
            True,
            "destinations.crm.batch",
            "expected a whole number, found a true-or-false value",
        ),
        (("destinations", "crm", "batch"), 1001, "destinations.crm.batch", "must be at most 1000"),
        (
            ("destinations", "crm", "url"),
            "ftp://x",
            "destinations.crm.url",
            "`ftp://x` does not match the pattern ^https?://",
        ),
        (("destinations", "lake", "every"), 0, "destinations.lake.every", "must be more than 0"),
        (("destinations", "lake", "every"), 10**400, "destinations.lake.every", "must be a finite number"),
        (("destinations", "lake", "every"), float("nan"), "destinations.lake.every", "must be a finite number"),
        (("routes",), "crm", "routes", "expected a list, found text"),
        (("routes", 0, "to"), [], "routes[0].to", "must have at least 1 item"),
        (("routes", 0, "to"), ["a", 1], "routes[0].to[1]", "expected text, found a whole number"),
        (("limits", "retention"), "ever", "limits.retention", "`ever` is not `forever`"),
        (("limits", "retention"), 13, "limits", "thirteen days bring bad luck"),
        (("limits",), {1: 2}, "limits.1", "unknown key"),
        (("destinations",), {1: {"type": "lake"}}, "destinations.1", "expected text, found a whole number"),
        (("tags",), {"a": 1}, "tags", "expected a list, found a mapping"),
        (("tags",), b"a", "tags", "expected a list, found something that is not plain data"),
        (("destinations", "a.b\n"), 1, "destinations.'a.b\\n'", "expected a mapping, found a whole number"),
    ],
)
def test_each_fault_is_told_at_its_place(path, to, place, message):
    assert [(p, m) for p, m, _ in problems(changed(*path, to=to))] == [(f"{FILE}: {place}", message)]


@pytest.mark.parametrize(
    ("path", "to", "hint"),
    [
        (("sources", "web", "enabled"), "off", "write `false`"),
        (("sources", "web", "enabled"), None, "give it a value, or leave the key out"),
        (("limits", "body_bytes"), "4 KB", "write it without quotes, units and separators"),
        (("destinations", "crm", "url"), 8080, "put it in quotes"),
        (("tags",), "a", "put it in brackets: [ ]"),
        (("limits", "x"), 1, ""),  # every known key of `limits` is in use already
    ],
)
def test_a_hint_says_how_to_mend_it(path, to, hint):
    assert [h for _, _, h in problems(changed(*path, to=to))] == [hint]


def test_unused_keys_are_listed_when_none_is_near():
    assert problems(changed("sources", "web", "zzz", to=1))[0][2] == "known here: protocol, enabled"


def test_a_type_that_contains_itself_ends_at_a_depth():
    route: dict[str, Any] = {"to": ["a"]}
    for _ in range(100):
        route = {"to": ["a"], "unless": route}
    assert {m for _, m, _ in problems(changed("routes", to=[route]))} == {"nested deeper than 64 levels"}


def test_a_tagged_struct_alone_is_still_named():
    lone = tagged({"lake": Lake})
    assert decode(lone, {"type": "lake"}, FILE)[1] == []
    assert problems({}, lone) == [(f"{FILE}: type", "missing; expected lake", "")]


def test_kinds_that_configuration_cannot_hold_are_our_bug():
    class Odd(Struct):
        when: complex

    with pytest.raises(Broken):
        decode(Odd, {"when": 1}, FILE)
    with pytest.raises(Broken):
        tagged({})


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates() | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.integers() | st.none() | st.booleans(), inner, max_size=4)
    ),
    max_leaves=20,
)
KEYS = [*Config.__struct_fields__, *Source.__struct_fields__, *Webhook.__struct_fields__, *Lake.__struct_fields__]
LIKELY = st.recursive(
    PLAIN | st.sampled_from(["lake", "webhook", "auto", "forever", "env:X", "https://x"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*KEYS, "type", "web", "to"]), inner, max_size=8)
    ),
    max_leaves=40,
)


@given(PLAIN | LIKELY)
def test_no_data_makes_it_raise_and_every_problem_has_a_place(data):
    value, found = decode(Config, data, FILE)
    assert (value is None) == bool(found)
    for problem in found:
        assert problem.place.startswith(FILE)
        assert problem.message
        assert problem.message.isprintable() and problem.place.isprintable()
        assert len(str(problem)) < 1000


class Keys(Struct, frozen=True):
    key: SecretRef
    other: SecretRef | None = None
    many: dict[str, SecretRef] = {}
    few: list[SecretRef] = []


MARK = "hunter2-swordfish"
HIDDEN = st.recursive(
    st.sampled_from([MARK, f"{MARK}\n", f"x{MARK}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "key"]), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["key", "kex", "other", "many", "few"]), HIDDEN, max_size=5))
def test_a_secret_is_never_shown(data):
    value, found = decode(Keys, data, FILE)
    shown = "".join(str(problem) for problem in found) + repr(value) + str(value) + f"{value}"
    assert MARK not in shown
    if value is not None:
        assert MARK not in f"{value.key} {value.other} {value.many} {value.few}"
        assert MARK in value.key
