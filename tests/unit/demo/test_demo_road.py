"""The demo against a real door and the real road: what it says it did is what is found."""

import json

import pytest
from openshop import KEY, SHOP, door, judged, on_loop, run, sent, wishes

from customhouse.demo.mistakes import MISTAKES
from customhouse.log.memory import MemoryLog
from customhouse.model.reasons import REASONS

HOUR = 3_600_000_000


def only(name, share=0.25, **others):
    """Run with one kind of mistake; return what was seen, and how often the mistake was made."""
    seen = run("none", {name: share}, **others)
    assert [made.name for made in seen.report.mistakes] == [name]
    return seen, seen.report.mistakes[0].acknowledged


def flagged(seen, flag):
    return sum(flag in row.flags for row in seen.trail)


def unplanned(seen):
    return [event.name for event in seen.events if any(v.rule == "unplanned" for v in event.violations)]


def test_without_mistakes_everything_is_known_and_valid():
    seen = run("none", events=1500)
    assert seen.fates() == {"routed": 1500}
    assert (seen.report.sent, seen.report.acknowledged, seen.report.mistakes) == (1500, 1500, [])
    assert [event for event in seen.events if event.violations] == []
    assert all(event.schema_version for event in seen.events), "every event of the shop has its entry in the plan"
    assert {row.flags for row in seen.trail} == {()}
    assert {event.protocol for event in seen.events} == {"segment", "rudderstack"}
    assert sum(seen.report.kinds.values()) == 1500


def test_with_many_mistakes_the_report_is_the_trail():
    seen = run("many", events=1500, seed=4)
    fates = seen.fates()
    routed = fates.pop("routed")
    assert fates == seen.report.expected
    assert routed + sum(fates.values()) == seen.report.acknowledged == seen.report.sent
    assert len(seen.report.mistakes) >= 14


@pytest.mark.parametrize("name", [name for name, mistake in MISTAKES.items() if mistake.fate])
def test_a_mistake_ends_where_it_should(name):
    seen, count = only(name)
    fate = MISTAKES[name].fate
    assert seen.fates() == {"routed": len(seen.trail) - count, fate: count}
    assert seen.report.expected == {fate: count}
    kind, _, reason = fate.partition(":")
    assert REASONS[reason].kind == kind


def test_a_reused_id_is_a_conflict():
    seen, count = only("id_reused")
    assert flagged(seen, "duplicate_conflict") == count > 10


def test_a_resent_request_is_no_conflict():
    seen, _ = only("resent")
    assert flagged(seen, "duplicate_conflict") == 0


@pytest.mark.parametrize("name", ["unknown_event", "misspelt_event"])
def test_unplanned_events_are_annotated(name):
    seen, count = only(name)
    assert len(unplanned(seen)) == count > 10
    planned = {path.read_text().partition("event: ")[2].partition("\n")[0] for path in SHOP.glob("plan/*/*.yaml")}
    assert not set(unplanned(seen)) & planned


def test_wrong_clocks_are_corrected():
    seen, count = only("clock_wrong")
    assert flagged(seen, "clock_corrected") == count > 10
    assert all(abs(row.occurred_at - row.received_at) < HOUR / 60 for row in seen.trail)


def test_the_future_is_clamped():
    seen, count = only("clock_future")
    assert flagged(seen, "clock_future") == count > 10
    assert all(row.occurred_at <= row.received_at for row in seen.trail)


def test_who_was_offline_comes_late_and_with_old_times():
    seen, count = only("offline", events=600)
    old = [row for row in seen.trail if row.received_at - row.occurred_at > HOUR * 0.9]
    assert len(old) == count
    assert {row.flags for row in old} == {()}


def test_odd_text_arrives_as_it_was_sent():
    seen, count = only("odd_text", 0.1)
    odd = [event for event in seen.events if b"u0000" in event.properties]
    assert len(odd) == count > 5
    assert all("\0" in json.loads(event.properties)["query"] for event in odd)
    assert all(not event.violations for event in odd)


def test_half_a_character_is_repaired():
    seen, count = only("half_character", 0.1)
    assert flagged(seen, "json_repaired") == count > 5
    assert sum(b"gift \xef\xbf\xbd" in event.properties for event in seen.events) == count


def test_a_link_that_is_missing_leaves_two_persons():
    seen = run("none", {"link_missing": 1.0}, events=1500, seed=2)
    ups = [event for event in seen.events if event.name == "Signed Up"]
    assert ups
    assert all(event.user_id and not event.anonymous_id for event in ups)


@pytest.mark.parametrize("family", ["segment", "rudderstack"])
def test_one_family_can_be_spoken_alone(family):
    seen = run("some", events=300, families=(family,))
    assert {event.protocol for event in seen.events} == {family}


def test_campaigns_and_consent_are_told_as_each_family_does():
    seen = run("none", events=1500)
    contexts = [(event.protocol, json.loads(event.context)) for event in seen.events]
    told = {(protocol, key) for protocol, context in contexts for key in context}
    assert {("segment", "consent"), ("rudderstack", "consentManagement"), ("segment", "campaign")} <= told
    assert ("segment", "consentManagement") not in told
    searches = {context["page"]["search"] for _, context in contexts if context.get("page", {}).get("search")}
    assert any("gclid=" in search for search in searches)
    assert any("utm_medium=email" in search for search in searches)
    assert any(context.get("groupId") for _, context in contexts) or any(e.type == "group" for e in seen.events)


def test_receipts_are_written_and_name_every_event(tmp_path):
    async def main():
        log = MemoryLog()
        async with door(log) as url:
            report = await sent(url, wishes(events=300), receipts=tmp_path / "receipts")
        return report, log

    report, log = on_loop(main())
    slips = [json.loads(line) for line in (tmp_path / "receipts").read_text().splitlines()]
    trail, _ = judged(log)
    assert sorted(id_ for slip in slips for id_ in slip["message_ids"]) == sorted(row.message_id for row in trail)
    by_id = {row.message_id: row.position for row in trail}
    for slip in slips:
        partition, _, rest = slip["receipt"].partition(":")
        first, _, count = rest.partition("+")
        positions = sorted(by_id[id_] for id_ in slip["message_ids"])
        assert (partition, len(positions), positions[0]) == ("0", int(count), int(first))
    assert report.receipt in {slip["receipt"] for slip in slips}


def test_history_arrives_with_its_times():
    seen = run("none", events=400, history=3 * 86_400.0)
    ages = [(row.received_at - row.occurred_at) / HOUR for row in seen.trail]
    assert max(ages) > 48
    assert min(ages) >= -0.01
    assert {row.flags for row in seen.trail} == {()}


def test_keys_appear_nowhere_in_what_is_kept():
    async def main():
        log = MemoryLog()
        async with door(log) as url:
            report = await sent(url, wishes("many", events=300))
        return report, log

    report, log = on_loop(main())
    assert all(KEY.encode() not in frame.body for frame in log.read("received", 0, after=-1, limit=1 << 30))
    assert KEY not in repr(report)
