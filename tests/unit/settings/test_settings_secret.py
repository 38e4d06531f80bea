import pytest
from settings_example import Source

from customhouse.model.errors import Misconfigured
from customhouse.settings import decode, is_literal, resolve
from customhouse.settings.secret import LARGEST, Masked


def refused(ref, workspace):
    with pytest.raises(Misconfigured) as raised:
        resolve(ref, workspace, "c.yaml: sources.web.write_key")
    (problem,) = raised.value.problems
    assert problem.place == "c.yaml: sources.web.write_key"
    assert problem.hint
    return problem.message


def test_a_reference_is_followed(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_KEY", "from the environment")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "shop").write_text("from a file\n")
    assert resolve("env:SHOP_KEY", tmp_path).reveal() == "from the environment"
    assert resolve("file:keys/shop", tmp_path).reveal() == "from a file"
    assert resolve(f"file:{tmp_path}/keys/shop", tmp_path / "elsewhere").reveal() == "from a file"
    assert resolve(Masked("itself"), tmp_path).reveal() == "itself"


def test_what_cannot_be_followed_is_told_in_words(tmp_path, monkeypatch):
    monkeypatch.delenv("SHOP_KEY", raising=False)
    monkeypatch.setenv("EMPTY_KEY", "")
    (tmp_path / "large").write_bytes(b"x" * (LARGEST + 1))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert refused("env:SHOP_KEY", tmp_path) == "the environment variable SHOP_KEY is not set"
    assert refused("env:EMPTY_KEY", tmp_path) == "the secret is empty"
    assert refused("env:a-b", tmp_path) == "what follows `env:` is not the name of an environment variable"
    assert refused("file:none", tmp_path) == "there is no file none"
    assert refused("file:.", tmp_path) == "there is no file ."
    assert refused("file:", tmp_path) == "what follows `file:` is not a path"
    assert refused("file:large", tmp_path) == f"large is over {LARGEST} bytes"
    assert refused("file:binary", tmp_path) == "binary is not UTF-8 text"


def test_a_literal_is_recognised_and_hidden():
    source, _ = decode(Source, {"write_key": "swordfish"}, "c.yaml")
    assert is_literal(source.write_key)
    assert "swordfish" not in f"{source} {source!r} {source.write_key} {source.write_key!r}"
    assert source.write_key == "swordfish"


def test_a_reference_is_shown():
    source, _ = decode(Source, {"write_key": "env:SHOP_KEY"}, "c.yaml")
    assert not is_literal(source.write_key)
    assert "env:SHOP_KEY" in repr(source)
    assert f"{source.write_key}" == "env:SHOP_KEY"
