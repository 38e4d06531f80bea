import msgspec
import pytest

from customhouse.collector.config import LimitsConfig, ListenConfig, SourceConfig
from customhouse.model.contracts import Limits

CONFIGS = (ListenConfig, SourceConfig, LimitsConfig)


@pytest.mark.parametrize("config", CONFIGS)
def test_every_field_says_what_it_is_for(config):
    schema = msgspec.json.schema(config)["$defs"][config.__name__]
    assert [name for name, field in schema["properties"].items() if not field.get("description")] == []
    assert schema["additionalProperties"] is False


def test_defaults_are_the_documented_limits():
    assert LimitsConfig().limits() == Limits()


def test_a_source_does_not_show_its_key():
    assert "secret" not in repr(SourceConfig(write_key="secret"))


@pytest.mark.parametrize(
    ("text", "config"),
    [
        (b'{"port":70000}', ListenConfig),
        (b'{"idle_timeout":0}', ListenConfig),
        (b'{"batch_events":4097}', LimitsConfig),
        (b'{"write_key":""}', SourceConfig),
        (b'{"write_key":"a","protocol":"morse"}', SourceConfig),
        (b'{"write_key":"a","unknown":1}', SourceConfig),
    ],
)
def test_what_cannot_be_meant_is_refused(text, config):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=config)
