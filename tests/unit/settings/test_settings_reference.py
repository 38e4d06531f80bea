import json
import os
import subprocess
import sys
from typing import Annotated

import jsonschema_rs
import pytest
from msgspec import Meta, Struct
from settings_example import GOOD, Config

from customhouse.settings import Field, SecretRef, decode, describe, json_schema, undescribed

FIELDS = {field.path: field for field in describe(Config)}


def test_every_key_is_described_with_kind_and_default():
    assert FIELDS["sources.<name>.write_key"] == Field(
        "sources.<name>.write_key",
        "a secret: `env:NAME`, `file:PATH` or the text",
        "required",
        "The key its SDKs send.",
    )
    assert FIELDS["destinations.<name>(webhook).batch"] == Field(
        "destinations.<name>(webhook).batch",
        "a whole number, at least 1, at most 1000",
        "100",
        "Most events of one request.",
    )
    assert FIELDS["destinations.<name>(webhook).url"].description == "Where to send."
    assert FIELDS["destinations.<name>(webhook).secret"].description == "Signs each request."
    assert FIELDS["sources.<name>.protocol"].type == "`auto` or `rudderstack` or `segment`"
    assert FIELDS["sources.<name>.protocol"].default == '"auto"'
    assert FIELDS["routes[].to"].type == "a list of: text"
    assert FIELDS["routes[].unless"].default == "null"
    assert FIELDS["limits.retention"].type == "a whole number or `forever` or nothing"


def test_a_type_that_contains_itself_is_described_once():
    assert [path for path in FIELDS if "unless" in path] == ["routes[].unless"]


def test_gaps_are_found():
    class Told(Struct):
        """Told by its own docstring."""

        known: Annotated[int, Meta(description="Known.")] = 1
        gap: int = 2

    class Outer(Struct):
        inner: Told

    assert undescribed(Config) == []
    assert undescribed(Told) == ["gap"]
    assert undescribed(Outer) == ["inner.gap"]


def test_secret_defaults_are_shown_nowhere():
    class Signed(Struct):
        key: SecretRef = "swordfish"

    assert "swordfish" not in json.dumps(json_schema(Signed)) + repr(describe(Signed))


def test_the_schema_agrees_with_the_decoder():
    validator = jsonschema_rs.Draft202012Validator(json_schema(Config))
    assert validator.is_valid(GOOD)
    for wrong in (
        {**GOOD, "routs": []},
        {**GOOD, "limits": {"body_bytes": 1}},
        {**GOOD, "destinations": {"a": {"type": "lake", "url": "x"}}},
        {**GOOD, "sources": {"web": {"write_key": 1}}},
    ):
        assert not validator.is_valid(wrong)
        assert decode(Config, wrong, "c.yaml")[1]


def test_the_schema_speaks_to_people():
    schema = json_schema(Config)
    source = schema["$defs"]["Source"]
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert source["additionalProperties"] is False
    assert source["properties"]["write_key"]["title"] == "Write key"
    assert source["properties"]["write_key"]["description"] == "The key its SDKs send."
    assert source["properties"]["write_key"]["writeOnly"] is True
    assert source["properties"]["enabled"]["default"] is True


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_schema_is_the_same_each_time(seed):
    program = (
        f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})\n"  # noqa: PTH120  a line of another program
        "import json; from settings_example import Config; from customhouse.settings import json_schema\n"
        "print(json.dumps(json_schema(Config)))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True, text=True)
    assert run.stdout.strip() == json.dumps(json_schema(Config))


def test_importing_settings_is_cheap():
    program = (
        "import sys, customhouse.settings, customhouse.telemetry\n"
        "print(sorted({'yaml', 'aiohttp', 'prometheus_client', 'asyncio', 'logging'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert run.stdout.strip() == "[]"
