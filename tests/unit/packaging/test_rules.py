"""
The Prometheus rules: every measurement they name exists, with the labels they ask for.

Where `promtool` is installed it also checks and tests them; elsewhere expressions are only held to our own names.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from customhouse.telemetry.measure import BOUNDS
from customhouse.telemetry.names import DERIVED, METRICS

FOLDER = Path(__file__).resolve().parents[3] / "packaging" / "prometheus"
SCRAPED = {"job", "instance"}
"""Labels that Prometheus adds."""
KNOWN = {**METRICS, **{metric.name: metric for metric in DERIVED}}
promtool = shutil.which("promtool")


@pytest.fixture(scope="module")
def rules():
    document = yaml.safe_load((FOLDER / "rules.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def named(expression):
    """Return the measurements an expression names, with the labels it selects by."""
    for found in re.finditer(r"\b(customhouse_[a-z0-9_]+)(?:\{([^}]*)\})?", expression):
        labels = dict(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"', found[2] or ""))
        yield found[1], labels


def metric(name):
    """Return the metric behind a name of the exposition."""
    for suffix in ("", "_bucket", "_count", "_sum"):
        known = KNOWN.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
        if known is not None and (not suffix or known.kind == "histogram"):
            return known
    raise AssertionError(f"{name} is measured nowhere")


def test_every_measurement_exists_with_its_labels(rules):
    seen = set()
    for rule in rules:
        for name, labels in named(rule["expr"]):
            own = {*metric(name).labels, "process"}
            extra = {"le"} if metric(name).kind == "histogram" else set()
            assert set(labels) <= own | extra | SCRAPED, (rule, name)
            assert "le" not in labels or float(labels["le"]) in BOUNDS, "a bound that no bucket has"
            seen.add(metric(name).name)
    assert {"customhouse_unaccounted_events", "customhouse_lag_seconds", "customhouse_commit_duration_seconds"} <= seen


def test_what_is_recorded_is_used_and_what_is_used_is_recorded(rules):
    recorded = {rule["record"] for rule in rules if "record" in rule}
    used = {name for rule in rules for name in re.findall(r"customhouse:[a-z0-9_:]+", rule["expr"])}
    assert used <= recorded
    page = (FOLDER.parents[1] / "docs/operations/service-levels.md").read_text()
    assert not [name for name in recorded - used if name not in page]


def test_every_alarm_says_what_to_do_next_and_stands_on_the_page(rules):
    alarms = [rule for rule in rules if "alert" in rule]
    page = (FOLDER.parents[1] / "docs/operations/service-levels.md").read_text()
    assert len(alarms) >= 8
    for alarm in alarms:
        assert alarm["labels"]["severity"] in ("page", "ticket")
        assert set(alarm["annotations"]) == {"summary", "next"}
        assert alarm["alert"] in page, alarm["alert"]


def test_brackets_close(rules):
    for rule in rules:
        for opening, closing in ("()", "{}", "[]"):
            assert rule["expr"].count(opening) == rule["expr"].count(closing), rule["expr"]


@pytest.mark.skipif(promtool is None, reason="promtool is not installed")
@pytest.mark.parametrize("verb", [("check", "rules", "rules.yml"), ("test", "rules", "rules_test.yml")])
def test_promtool_takes_them(verb):
    done = subprocess.run([promtool, *verb], cwd=FOLDER, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
