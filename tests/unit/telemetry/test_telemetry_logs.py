import io
import json
import logging
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customhouse.model.errors import Unavailable
from customhouse.model.secret import Secret
from customhouse.settings.secret import Masked
from customhouse.telemetry.lines import LONGEST, MASK, is_private
from customhouse.telemetry.logs import adopt_stdlib, open_log


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def stream():
    return io.StringIO()


@pytest.fixture
def log(stream):
    return open_log("collector", stream=stream)


def last(stream):
    return json.loads(stream.getvalue().splitlines()[-1])


def test_a_line_is_one_json_object_with_its_time(log, stream):
    log.bind(batch=7).info("batch settled", events=200, took=0.5, routes=["crm", "lake"], new=True, none=None)
    line = last(stream)
    assert timedelta() <= datetime.now(UTC) - datetime.fromisoformat(line.pop("at")) < timedelta(minutes=1)
    assert line == {
        "level": "info",
        "process": "collector",
        "event": "batch settled",
        "batch": 7,
        "events": 200,
        "took": 0.5,
        "routes": ["crm", "lake"],
        "new": True,
        "none": None,
    }


def test_levels_below_the_lowest_are_not_written(stream):
    log = open_log("collector", stream=stream, level="warning")
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["c", "d"]


@pytest.mark.parametrize(
    "name",
    [
        "user_id",
        "userId",
        "email",
        "customer_email",
        "write_key",
        "Authorization",
        "body",
        "properties",
        "traits",
        "auth-token",
    ],
)
def test_names_that_speak_of_people_or_secrets_are_masked(log, stream, name):
    log.info("x", **{name: "ada@example.com"})
    assert last(stream)[name] == MASK
    log.bind(**{name: "ada@example.com"}).info("y")
    assert "ada" not in stream.getvalue()


def test_ordinary_names_are_not_masked():
    assert not any(is_private(n) for n in ("batch", "event_id", "source", "destination", "bytes", "reason", "key_id"))


def test_only_plain_values_are_written(log, stream):
    log.info(
        "x", a=Secret("s3cret"), b=Masked("s3cret"), c=b"s3cret", d={"k": "s3cret"}, e=[["s3cret"], Secret("s3cret")]
    )
    assert "s3cret" not in stream.getvalue()
    assert last(stream)["a"] == "(not logged: Secret)"


def test_values_are_bounded(log, stream):
    log.info("x" * 9999, long="y" * 9999, many=list(range(9999)), huge=10**30)
    line = last(stream)
    assert len(line["event"]) == len(line["long"]) == LONGEST
    assert len(line["many"]) == 21
    assert line["huge"] == "(huge number)"


def test_a_field_cannot_pose_as_the_line_itself(log, stream):
    log.info("x", level="error", at="never")
    line = last(stream)
    assert (line["level"], line["level_"], line["at_"]) == ("info", "error", "never")


def test_of_an_exception_only_our_own_words_are_told(log, stream):
    try:
        int("ada@example.com")
    except ValueError as error:
        log.failed("broke", error, batch=1)
    line = last(stream)
    assert "ada" not in stream.getvalue()
    assert (line["error"], line["batch"], line["level"]) == ("ValueError", 1, "error")
    assert "test_of_an_exception" in line["lines"][-1]
    log.failed("waits", Unavailable("the disk does not answer"))
    assert last(stream)["message"] == "the disk does not answer"
    log.failed("waits", FileNotFoundError(2, "No such file or directory", "/home/ada"))
    assert last(stream)["message"] == "No such file or directory"


def test_people_at_a_terminal_get_colours_unless_they_decline():
    shown = {}
    for name, environment in (("plain", {"NO_COLOR": "1"}), ("dumb", {"TERM": "dumb"}), ("colour", {"TERM": "xterm"})):
        stream = Terminal()
        open_log("collector", stream=stream, environment=environment).warning("door closed", bytes=5, why="disk full")
        shown[name] = stream.getvalue()
    assert "\x1b[33m" in shown["colour"]
    assert "\x1b" not in shown["plain"] + shown["dumb"]
    assert shown["plain"].endswith(" warning collector door closed bytes=5 why='disk full'\n")


@given(st.text(max_size=50), st.text(max_size=50), st.floats(), st.integers())
def test_no_text_breaks_a_line_or_moves_the_cursor(event, text, number, whole):
    machine, person = io.StringIO(), Terminal()
    open_log("p", stream=machine).info(event, text=text, number=number, whole=whole)
    open_log("p", stream=person, environment={"NO_COLOR": "1"}).info(event, text=text, number=number, many=[text])
    assert json.loads(machine.getvalue())["level"] == "info"
    assert machine.getvalue().count("\n") == 1
    assert person.getvalue()[:-1].isprintable()


def test_surrogates_can_be_written(log, stream):
    log.info("\ud800")
    assert last(stream)["event"] == "\\ud800"


def test_a_stream_that_is_gone_stops_nothing():
    stream = io.StringIO()
    log = open_log("p", stream=stream)
    stream.close()
    log.info("x")


def test_libraries_are_heard_without_their_data(log, stream):
    root = logging.getLogger()
    before = (root.handlers, root.level)
    try:
        adopt_stdlib(log)
        logging.getLogger("aiohttp.server").info("unheard")
        logging.getLogger("aiohttp.server").warning("request from %s failed\nat length", "203.0.113.9")
        line = last(stream)
        assert (line["library"], line["message"], line["level"]) == (
            "aiohttp.server",
            "request from %s failed",
            "warning",
        )
        try:
            {}["ada@example.com"]
        except KeyError:
            logging.getLogger("aiohttp.server").exception("handler")
        assert (last(stream)["error"], last(stream)["level"]) == ("KeyError", "error")
        logging.getLogger("x").error({"ada": 1})
        assert (
            "203.0" not in stream.getvalue() and "ada" not in stream.getvalue() and "unheard" not in stream.getvalue()
        )
    finally:
        root.handlers, root.level = before
        root.setLevel(before[1])
