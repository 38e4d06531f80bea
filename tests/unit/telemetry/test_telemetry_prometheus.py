import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families as parse

from customhouse.model.posting import Posting
from customhouse.telemetry.measure import BOUNDS, Meter
from customhouse.telemetry.names import DERIVED, METRICS
from customhouse.telemetry.prometheus import LONGEST_LABEL, MOST_SERIES, Lag, render

FLOWS = [
    Posting("web", 1, "received", "refused:batch_empty", 1),
    Posting("web", 1, "received", "logged", 10),
    Posting("web", 2, "received", "logged", 5),
    Posting("app", 1, "received", "logged", 2),
    Posting("web", 1, "logged", "dedupe", 15),
    Posting("web", 1, "dedupe", "dropped:duplicate", 1),
    Posting("web", 1, "dedupe", "quarantined:schema_violation", 4),
    Posting("web", 1, "quarantined:schema_violation", "replayed", 3),
    Posting("web", 1, "replayed", "logged", 3),
    Posting("web", 1, "copies", "routing", 7),
    Posting("web", 1, "routing", "owed:crm", 7),
    Posting("web", 1, "owed:crm", "delivered:crm", 6),
]


def samples(text):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse(text.decode())
        for sample in family.samples
    }


def only(text, name):
    return {labels: value for (found, labels), value in samples(text).items() if found == name}


@pytest.mark.parametrize(
    ("name", "series"),
    [
        ("received", {(("source", "app"),): 2, (("source", "web"),): 16}),
        ("logged", {(("source", "app"),): 2, (("source", "web"),): 18}),
        ("refused", {(("reason", "batch_empty"), ("source", "web")): 1}),
        ("dropped", {(("reason", "duplicate"), ("source", "web")): 1}),
        ("quarantined", {(("reason", "schema_violation"), ("source", "web")): 4}),
        ("replayed", {(("source", "web"),): 3}),
        ("copies", {(("source", "web"),): 7}),
        ("owed", {(("destination", "crm"), ("source", "web")): 7}),
        ("delivered", {(("destination", "crm"), ("source", "web")): 6}),
    ],
)
def test_counts_of_events_are_those_of_the_books(name, series):
    assert only(render([], FLOWS), f"customhouse_{name}_events_total") == series


def test_balances_sum_to_zero():
    balances = only(render([], FLOWS), "customhouse_balance_events")
    assert sum(balances.values()) == 0
    assert balances[(("account", "quarantined:schema_violation"),)] == 1
    assert balances[(("account", "owed:crm"),)] == 1


def test_lag_and_unaccounted_are_told():
    text = render([], [], [Lag(5, topic="received", seconds=0.25), Lag(7, destination="crm")], unaccounted=0)
    assert only(text, "customhouse_lag_events") == {(("topic", "received"),): 5, (("destination", "crm"),): 7}
    assert only(text, "customhouse_lag_seconds") == {(("topic", "received"),): 0.25}
    assert only(text, "customhouse_unaccounted_events") == {(): 0}


def test_histograms_are_cumulative_and_name_their_process():
    first, second = Meter("pipeline-0"), Meter("pipeline-1")
    for meter in (first, second):
        held = meter.histogram("customhouse_stage_duration_seconds", stage="clock")
        for seconds in (0.00001, 0.03, 1000):
            held.observe(seconds)
    text = render([first.take(), second.take()], [])
    name = "customhouse_stage_duration_seconds"
    labels = {"stage": "clock", "process": "pipeline-0"}
    buckets = {dict(k)["le"]: v for k, v in only(text, f"{name}_bucket").items() if labels.items() <= dict(k).items()}
    assert [buckets[le] for le in ("1e-05", "0.025", "0.05", "60", "+Inf")] == [1, 1, 2, 2, 3]
    assert len(buckets) == len(BOUNDS) + 1
    assert only(text, f"{name}_count") == {
        (("process", p), ("stage", "clock")): 3 for p in ("pipeline-0", "pipeline-1")
    }
    assert set(only(text, f"{name}_sum").values()) == {1000.03001}


def test_counters_gauges_and_vitals_are_told():
    meter = Meter("collector")
    meter.counter("customhouse_requests_total", protocol="segment", status="200").add(3)
    meter.gauge("customhouse_free_disk_bytes").set(2**40)
    text = render([meter.take()], [])
    process = (("process", "collector"),)
    labels = (("process", "collector"), ("protocol", "segment"), ("status", "200"))
    assert only(text, "customhouse_requests_total") == {labels: 3}
    assert only(text, "customhouse_free_disk_bytes") == {process: 2**40}
    assert only(text, "customhouse_process_cpu_seconds_total")[process] > 0
    assert only(text, "customhouse_process_resident_bytes")[process] > 0


def test_every_listed_metric_has_help_and_a_unit():
    for listed in (*METRICS.values(), *DERIVED):
        assert listed.help.endswith(".")
        assert listed.name.startswith("customhouse_")
        assert (listed.kind == "counter") == listed.name.endswith("_total")
        assert (listed.kind == "histogram") == listed.name.endswith("_duration_seconds")


def test_types_are_declared_once_each():
    text = render([Meter("a").take(), Meter("b").take()], FLOWS).decode()
    declared = [line for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(declared) == len(set(declared))
    assert text.endswith("\n")


@given(st.text(max_size=200))
def test_labels_are_escaped_and_bounded(source):
    (labels,) = only(render([], [Posting(source, 1, "received", "logged", 1)]), "customhouse_logged_events_total")
    assert dict(labels)["source"] == source[:LONGEST_LABEL].encode("utf-8", "backslashreplace").decode()


def test_too_many_series_are_added_up_as_other():
    flows = [Posting(f"s{n}", 1, "received", "logged", 1) for n in range(MOST_SERIES + 50)]
    series = only(render([], flows), "customhouse_logged_events_total")
    assert len(series) == MOST_SERIES + 1
    assert sum(series.values()) == len(flows)
    assert series[(("source", "other"),)] == 50
