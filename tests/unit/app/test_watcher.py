"""Watching the house: what the Overview says is what the books say, and looking twice costs nothing."""

import pytest

from customhouse.app.lanes import publish
from customhouse.app.rules import take_in
from customhouse.app.windows.lanes import DestinationsOf
from customhouse.app.windows.overview import OverviewOf
from customhouse.app.windows.watcher import Watcher, counted, percentile
from customhouse.app.windows.window import Window
from customhouse.app.workspace import Workspace
from customhouse.log.embedded import EmbeddedLog
from customhouse.model.posting import HOUR, LOGGED, RECEIVED, Posting
from customhouse.telemetry.measure import BOUNDS


@pytest.fixture
def watcher(tmp_path):
    place = Workspace(tmp_path, tmp_path / ".data")
    place.prepare()
    EmbeddedLog(place.log).close()
    window = Window(place)
    yield Watcher(window)
    window.close()


def test_an_empty_house_is_told_as_it_is(watcher):
    seen = OverviewOf(watcher, list).overview()
    assert (seen.received, seen.in_flight, seen.unaccounted, seen.sources, seen.destinations) == (0, 0, 0, [], [])
    assert [line.process for line in seen.processes if line.running] == []


def test_destinations_are_told_as_their_own_page_tells_them(watcher, tmp_path):
    (tmp_path / "plan").mkdir()
    (tmp_path / "customhouse.yaml").write_text(
        "{name: s, sources: {web: {write_key: k}}, destinations: {lake: {type: lake}}}"
    )
    place = watcher._window.workspace
    take_in(place, {})
    publish(place, {"lake": {"state": "running", "lag_events": 0}}, {})
    destinations = DestinationsOf(place, watcher)
    (line,) = OverviewOf(watcher, destinations.all).overview().destinations
    assert (line.state, line.tone) == ("not running", "bad"), "what an ended delivery said last is not believed"
    assert destinations.all()[0].state == line.state


def test_the_newest_reading_is_kept(watcher):
    assert watcher.due()
    first = watcher.newest()
    assert watcher.newest() is first
    assert not watcher.due()


def test_two_looks_are_two_counts_however_soon_they_follow(watcher):
    first, second = watcher.look(), watcher.look()
    assert first.balance is not second.balance


def test_the_history_goes_on_after_a_restart(watcher):
    watcher.look()
    watcher.save()
    again = Watcher(watcher._window)
    assert len(again.history.gauges(3600, watcher.newest().at, "quarantined").times) == 1


def test_events_are_counted_where_they_came_from_and_went():
    def posting(source, moved_from, moved_to, count):
        return Posting(source, 7 * HOUR, moved_from, moved_to, count)

    told = counted([
        posting("web", RECEIVED, LOGGED, 5),
        posting("web", "validation", "quarantined:schema_violation", 2),
        posting("app", "owed:lake", "delivered:lake", 3),
        posting("app", RECEIVED, "refused:too_busy", 4),
    ])  # fmt: skip
    assert told == {"received:web": 5, "quarantined": 2, "delivered:lake": 3, "refused": 4}


def test_percentiles_of_buckets():
    counts = [0] * (len(BOUNDS) + 1)
    assert percentile(counts, 0.5) == 0.0
    counts[BOUNDS.index(0.001)] = 100
    assert BOUNDS[BOUNDS.index(0.001) - 1] < percentile(counts, 0.5) < 0.001
    assert percentile(counts, 1.0) == 0.001
    counts[-1] = 1
    assert percentile(counts, 1.0) == BOUNDS[-1]
