import pytest
from typer.testing import CliRunner

from customhouse.cli.demo import _line, _wishes
from customhouse.cli.main import application
from customhouse.demo.tally import Tally
from customhouse.demo.wire import Piece
from customhouse.model.errors import Misconfigured


def wished(*, rate=50.0, for_="60s", events=0, faults="some", mistake=(), history="", speak="mixed"):
    return _wishes(rate, for_, events, 1, faults, list(mistake), history, speak)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60), ("10m", 600), ("2h", 7200), ("1.5h", 5400), ("7d", 604_800), ("0", 0), ("45", 45)],
)
def test_spans_of_time(text, seconds):
    assert wished(for_=text).seconds == seconds


def test_a_number_of_events_replaces_the_usual_time():
    assert (wished(events=100).seconds, wished(events=100).events) == (0, 100)


def test_shares_of_single_mistakes_stand_above_the_level():
    shares = wished(faults="none", mistake=["wrong_type=0.25"]).shares
    assert {name: share for name, share in shares.items() if share} == {"wrong_type": 0.25}
    assert wished(faults="0.5").shares["resent"] == pytest.approx(0.06)


def test_everything_wrong_is_told_at_once():
    with pytest.raises(Misconfigured) as refused:
        wished(rate=0, for_="soon", history="7q", speak="french", faults="3")
    assert [problem.place for problem in refused.value.problems] == [
        "--rate", "--for", "--history", "--speak", "--faults",
    ]  # fmt: skip
    assert all(problem.hint for problem in refused.value.problems)


@pytest.mark.parametrize("words", ["wrong_type", "wrong_type=much", "=0.1"])
def test_a_single_mistake_needs_name_and_share(words):
    with pytest.raises(Misconfigured):
        wished(mistake=[words])


def test_a_history_without_a_count_is_refused():
    with pytest.raises(Misconfigured):
        wished(for_="0", history="7d")
    assert wished(for_="1m", history="7d").history == 604_800


def test_where_no_house_runs_the_command_says_how_to_start_one(tmp_path):
    (tmp_path / "customhouse.yaml").write_text("name: x\n")
    done = CliRunner().invoke(application(), ["demo", "--workspace", str(tmp_path)])
    assert done.exit_code == 2
    assert "start it: customhouse run" in done.stderr


def test_a_file_of_receipts_is_tried_before_the_run(tmp_path):
    words = ["demo", "--url", "http://127.0.0.1:9", "--write-key", "k", "--receipts", str(tmp_path / "no" / "such")]
    done = CliRunner().invoke(application(), words)
    assert done.exit_code == 2
    assert "--receipts" in done.stderr


def test_the_line_beside_the_bar_says_what_went_wrong_first():
    tally = Tally()
    assert _line(tally, 0.0) == "0 acknowledged · 0/s · p50 0.0 ms · p99 0.0 ms"
    tally.took([Piece(b"{}", "m", "page")] * 100, 0.002, "0:0+100")
    tally.refuse([Piece(b"{}", "m", "page")], "body_not_json")
    tally.retries = 3
    assert _line(tally, 2.0).startswith("1 refused · 3 retries · 100 acknowledged · 50/s · p50 2.0 ms")
