from msgspec import structs

from customhouse.ledger.explain import Answered, Passage, story, waiting_in_log

NOON = 1_767_268_800_000_000
PASSAGE = Passage(
    event_id="01", message_id="m1", source="web", type="track", event="Order Completed", received_at=NOON,
    occurred_at=NOON - 2_000_000, original_at=NOON - 2_000_000, fate="routed", stage="routing", detail="", flags=(),
    schema_version="1.2.0", routes=("lake", "hook"), partition=0, position=7, owed_position=3, judged_at=NOON + 5_000,
    config=4, plan=2,
)  # fmt: skip


def words(told):
    return [(step.station, step.words) for step in told.steps]


def test_an_ordinary_way_is_told_in_order():
    told = story([PASSAGE], [Answered(lane="lake", verdict="delivered", at=NOON + 9_000)])
    assert words(told) == [
        ("door", "received from source web and made durable"),
        ("clock", "happened at 2026-01-01 11:59:58.000 UTC, as the client says"),
        ("validation", "judged by version 1.2.0 of its schema, plan release 2"),
        ("routing", "owed to lake, hook (plan release 2, configuration 4)"),
        ("lake", "delivered"),
    ]
    assert told.state == "waiting", "hook has said nothing yet"


def test_a_moved_time_says_by_how_much():
    told = story([structs.replace(PASSAGE, original_at=NOON - 60_000_000)], [])
    assert "which was moved by +58.000 s" in dict(words(told))["clock"]


def test_a_duplicate_never_came_to_the_clock():
    told = story([structs.replace(PASSAGE, fate="dropped:duplicate", stage="dedupe", schema_version="")], [])
    assert [step.station for step in told.steps] == ["door", "dedupe"]
    assert told.state == "dropped:duplicate"


def test_quarantine_says_why_and_what_to_do():
    told = story(
        [structs.replace(PASSAGE, fate="quarantined:schema_violation", stage="validation", detail="total")], []
    )
    station, said = words(told)[-1]
    assert station == "validation"
    assert said.startswith("quarantined as schema_violation: total. ")
    assert "replay" in said


def test_a_replayed_event_tells_both_walks_and_a_discarded_one_its_end():
    first = structs.replace(PASSAGE, fate="quarantined:schema_violation", stage="validation", detail="total")
    again = structs.replace(PASSAGE, flags=("replayed",))
    assert "left quarantine" in [said for _, said in words(story([first, again], []))]
    end = structs.replace(PASSAGE, fate="dropped:discarded", stage="quarantine", detail="out of quarantined:poison")
    assert words(story([first, end], []))[-1] == ("quarantine", "discarded; it was out of quarantined:poison")


def test_the_newest_answer_of_each_destination_decides_the_state():
    answers = [
        Answered(lane="lake", verdict="delivered"),
        Answered(lane="hook", verdict="retry", reason="throttled", attempts=2),
    ]
    assert story([PASSAGE], answers).state == "retry"
    assert story([PASSAGE], [*answers, Answered(lane="hook", verdict="delivered", attempts=3)]).state == "delivered"


def test_an_event_the_pipeline_has_not_read_waits():
    told = waiting_in_log("01", "m1", "web", NOON)
    assert told.state == "logged"
    assert words(told)[-1] == ("log", "waits for the pipeline")
