import pytest

from customhouse.plan.definition import read

GOOD = {"event": "Signed Up", "version": "1.0.0", "owner": "team", "description": "Somebody signed up."}


def wrong(**changes) -> list[tuple[str, str, str]]:
    """Return place inside the file, message and hint of each problem."""
    data = {key: value for key, value in {**GOOD, **changes}.items() if value is not ...}
    return [(p.place.removeprefix("f.yaml: "), p.message, p.hint) for p in read(data, "f.yaml")[1]]


def places(**changes) -> list[str]:
    return [place for place, _, _ in wrong(**changes)]


def test_a_definition_is_read_with_its_defaults():
    definition, found = read(GOOD, "f.yaml")

    assert found == []
    assert definition is not None
    assert (definition.key, definition.requires, definition.additional_properties) == (("track", "Signed Up"), (), True)
    assert definition.schema() is None


def test_unknown_fields_name_the_nearest():
    assert wrong(propertys={}) == [("propertys", "unknown key", "did you mean `properties`?")]


@pytest.mark.parametrize("field", ["version", "owner", "description"])
def test_what_every_agreement_needs(field):
    assert places(**{field: ...}) == [field]
    assert places(**{field: "  "}) == [field]


@pytest.mark.parametrize("version", ["1", "1.0", "v1.0.0", "1.0.0-beta", "01.0.0", "1.0.0.0", "1.0.0\n", "9999999.0.0"])
def test_versions_are_three_numbers(version):
    assert places(version=version) == ["version"]


def test_an_unquoted_version_is_a_number_and_is_told_so():
    assert wrong(version=1.0) == [("version", "expected text, found a number with a fraction", "put it in quotes")]


@pytest.mark.parametrize(
    ("kind", "event", "fine"),
    [
        ("track", "Signed Up", True),
        ("track", ..., False),
        ("track", "", False),
        ("track", " Signed Up", False),
        ("track", "x" * 201, False),
        ("page", "Home", True),
        ("page", ..., True),
        ("identify", ..., True),
        ("identify", "Home", False),
        ("group", "Home", False),
        ("alias", "Home", False),
    ],
)
def test_which_types_have_names(kind, event, fine):
    assert places(type=kind, event=event) == ([] if fine else ["event"])


def test_an_unknown_type():
    assert places(type="trak") == ["type"]


def test_requirements_are_identifiers_and_context_paths():
    fine = ["user_id", "anonymous_id", "group_id", "previous_id", "timestamp", "context.session_id", "context.page.url"]

    assert wrong(requires=fine) == []
    assert [(place, hint) for place, _, hint in wrong(requires=["userid", "context.", "context..x", "page.url"])] == [
        ("requires[0]", "did you mean `user_id`?"),
        ("requires[1]", "did you mean `context.`?"),
        ("requires[2]", "did you mean `context..x`?"),
        ("requires[3]", "did you mean `context.page.url`?"),
    ]


def test_required_names_must_be_described_and_stand_once():
    properties = {"order_id": {"type": "string"}}

    assert wrong(properties=properties, required=["order_id"]) == []
    assert [(place, hint) for place, _, hint in wrong(properties=properties, required=["orderid", "order_id"])] == [
        ("required[0]", "did you mean `order_id`?")
    ]
    assert places(properties=properties, required=["order_id", "order_id"]) == ["required[1]"]


def test_an_alias_carries_no_properties():
    assert places(type="alias", event=..., properties={"a": True}) == ["properties"]


def test_one_bad_field_does_not_hide_the_others():
    assert places(owner=5, version="x", requires=["nobody"], properties={"a": {"type": "strin"}}) == [
        "owner",
        "version",
        "requires[0]",
        "properties.a.type",
    ]


def test_the_schema_of_an_event():
    definition, _ = read({**GOOD, "properties": {"a": True}, "required": ["a"], "additional_properties": False}, "f")

    assert definition is not None
    assert definition.schema() == {
        "type": "object",
        "properties": {"a": True},
        "required": ["a"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("schema", "place", "hint"),
    [
        ({"type": "strin"}, "a.type", "did you mean `string`?"),
        ({"type": ["string", "nul"]}, "a.type", "did you mean `null`?"),
        ({"minlength": 3}, "a.minlength", "did you mean `minLength`?"),
        ({"format": "datetime"}, "a.format", "did you mean `date-time`?"),
        ({"minLength": -1}, "a.minLength", ""),
        ({"required": True}, "a.required", "list required properties beside `properties`: `required: [names]`"),
        ({"pattern": "("}, "a.pattern", "patterns run in linear time: no look-around, no back-references"),
        (
            {"pattern": "^(?!x)"},
            "a.pattern",
            "patterns run in linear time: no look-around, no back-references",
        ),
        ({"patternProperties": {"(": {}}}, "a.patternProperties", None),
        ({"$ref": "https://example.com/x.json"}, "a.$ref", "only `#/…` is followed; nothing is fetched"),
        ({"$ref": "other.yaml"}, "a.$ref", "only `#/…` is followed; nothing is fetched"),
        ({"$id": "https://example.com/"}, "a.$id", "plans are JSON Schema 2020-12"),
        ({"items": {"properties": {"b": {"typ": "string"}}}}, "a.items.properties.b.typ", "did you mean `type`?"),
        ({"anyOf": [{}, {"mininum": 1}]}, "a.anyOf[1].mininum", "did you mean `minimum`?"),
        (3, "a", ""),
        ({"enum": 3}, "a.enum", ""),
    ],
)
def test_schemas_are_checked_to_the_last_word(schema, place, hint):
    found = wrong(properties={"a": schema})

    assert [where for where, _, _ in found] == [f"properties.{place}"]
    assert hint is None or found[0][2] == hint


def test_a_reference_to_nothing_is_a_problem_and_one_within_the_event_is_not():
    assert places(properties={"a": {"type": "string"}, "b": {"$ref": "#/properties/a"}}) == []
    assert len(places(properties={"b": {"$ref": "#/properties/nothing"}})) == 1


def test_notes_of_your_own_are_free():
    assert places(properties={"a": {"type": "string", "x-unit": "EUR", "description": "An amount."}}) == []
