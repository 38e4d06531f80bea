import fcntl
import io
import stat

import pytest

from customhouse.app.upkeep import migrations
from customhouse.app.upkeep.migrations import FORMAT, STEPS, read_mark
from customhouse.app.workspace import Workspace
from customhouse.model.errors import Misconfigured, Unavailable
from customhouse.telemetry.logs import open_log


@pytest.fixture
def place(tmp_path):
    return Workspace(tmp_path, tmp_path / ".data")


@pytest.fixture
def old(place):
    """A data folder as format 1 left it."""
    (place.data / "config").mkdir(parents=True)
    (place.data / "config" / "00001.json").write_text("{}")
    (place.data / "format").write_text("1\n")
    return place


def test_a_new_folder_has_todays_format_an_identity_and_a_key(place):
    place.prepare()
    assert read_mark(place.data).format == FORMAT
    assert read_mark(place.data).by.startswith("customhouse ")
    assert len(place.identity().workspace) == 36
    assert place.identity().created_at > 1_500_000_000_000_000
    key = place.data / "keys" / "reference"
    assert place.reference_key() == key.read_bytes()
    assert len(place.reference_key()) == 32
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(place.data.stat().st_mode) == 0o700


def test_identity_and_key_stay_when_the_house_opens_again(place):
    place.prepare()
    before = place.identity(), place.reference_key()
    place.prepare()
    assert (place.identity(), place.reference_key()) == before


def test_format_1_is_brought_up_and_that_is_logged(old):
    lines = io.StringIO()
    old.prepare(open_log("supervisor", stream=lines))
    assert read_mark(old.data).format == FORMAT
    assert '"upkeep.migrated"' in lines.getvalue()
    assert old.identity().workspace
    assert len(old.reference_key()) == 32
    assert (old.data / "config" / "00001.json").read_text() == "{}"


@pytest.mark.parametrize("at", ["make_reference_key", "write_mark"])
def test_a_step_that_was_cut_short_runs_again_and_keeps_what_it_made(old, monkeypatch, at):
    def cut(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(migrations, at, cut)
        with pytest.raises(OSError, match="space"):
            old.prepare()
    assert read_mark(old.data).format == 1
    first = old.identity()
    old.prepare()
    assert read_mark(old.data).format == FORMAT
    assert old.identity() == first


def test_there_is_one_step_to_every_format():
    assert sorted(STEPS) == list(range(2, FORMAT + 1))


@pytest.mark.parametrize("owner", ["supervisor", "collector", "pipeline", "delivery", "console"])
def test_nothing_is_migrated_under_a_running_process(old, owner):
    (old.data / "run").mkdir()
    with (old.data / "run" / f"{owner}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Unavailable, match=owner):
            old.prepare()
    assert read_mark(old.data).format == 1
    old.prepare()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("9\n", "formats up to 2"),
        ("9\ncustomhouse 7.1\n", "use customhouse 7.1 or a newer version"),
        ("", "does not say a format"),
        ("two\n", "does not say a format"),
        ("²\n", "does not say a format"),
    ],
)
def test_a_newer_or_unreadable_mark_is_refused_in_words(place, text, words):
    place.data.mkdir()
    (place.data / "format").write_text(text)
    with pytest.raises(Misconfigured) as caught:
        place.prepare()
    assert words in str(caught.value)
    assert str(place.data / "format") in str(caught.value)
    assert sorted(path.name for path in place.data.iterdir()) == ["format"]


def test_a_folder_that_lost_its_mark_is_refused(place):
    place.prepare()
    (place.data / "config" / "00001.json").write_text("{}")
    (place.data / "format").unlink()
    with pytest.raises(Misconfigured, match="holds config and no file that says its format"):
        place.prepare()


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_key_that_is_not_whole_is_refused_with_the_next_step(place, content):
    place.prepare()
    (place.data / "keys" / "reference").write_bytes(content)
    with pytest.raises(Misconfigured, match="back-up"):
        place.reference_key()


@pytest.mark.parametrize("content", ["", "{", '{"workspace": "me", "created_at": 1}', '{"format": 2, "workspace": 1}'])
def test_an_identity_that_cannot_be_read_is_refused(place, content):
    place.prepare()
    (place.data / "identity.json").write_text(content)
    with pytest.raises(Misconfigured, match=r"identity\.json"):
        place.identity()
