from customhouse.ledger.trail import TrailTables, find_event, find_message, find_receipts
from customhouse.model.contracts import Frame
from customhouse.model.envelope import event_id
from customhouse.model.frames import OWED_TOPIC, RECEIPTS_TOPIC, OwedFrame, ReceiptFrame, ReceiptRow, TrailRow
from customhouse.model.outcome import Versions
from customhouse.testing.builders import RECEIVED_AT

FIRST = bytes.fromhex("019b79720e0070008000000000000000")


def row(nth: int, fate: str = "routed", **changes) -> TrailRow:
    fields = {
        "id": event_id(FIRST, nth),
        "position": nth,
        "message_id": f"message-{nth}",
        "source": "web",
        "type": "track",
        "name": "Order Completed",
        "received_at": RECEIVED_AT,
        "occurred_at": RECEIVED_AT - 5,
        "original_at": None,
        "fate": fate,
        "stage": "routing",
        "detail": "",
        "flags": ("json_repaired",),
        "schema_version": "1",
        "routes": ("lake",) if fate == "routed" else (),
    }
    return TrailRow(**(fields | changes))


def owed(base: int, rows: list[TrailRow], now: int = RECEIVED_AT + 9) -> tuple[Frame, OwedFrame]:
    count = sum(one.fate == "routed" for one in rows)
    frame = OwedFrame(
        format=1,
        origin="received",
        partition=0,
        first=0,
        last=0,
        total=0,
        now=now,
        versions=Versions(config=4, plan=3, policy=2, key=1),
        postings=[],
        memory={},
        totals={},
        trail=rows,
        quarantined=[],
        owed=[],
    )
    return Frame(base, count, 0, now, b""), frame


def answered(base: int, *rows: ReceiptRow) -> tuple[Frame, ReceiptFrame]:
    frame = ReceiptFrame(1, rows[0].lane, 0, rows[0].last, RECEIVED_AT, [], list(rows), [], [], [])
    return Frame(base, len(rows), 0, RECEIVED_AT, b""), frame


def receipt(first: int, last: int, event: bytes = b"", verdict: str = "delivered", at: int = RECEIVED_AT) -> ReceiptRow:
    return ReceiptRow("lake", 0, first, last, event, verdict, "", "ok", at, 1)


def test_an_event_is_found_with_all_that_happened_to_it(tmp_path):
    tables = TrailTables(tmp_path)
    assert tables.store_trail(3, [owed(10, [row(1), row(2, "dropped:duplicate", stage="dedupe", detail="of 1")])]) == 2
    (found,) = find_event(tmp_path, event_id(FIRST, 2))
    assert (found["fate"], found["stage"], found["detail"]) == ("dropped:duplicate", "dedupe", "of 1")
    assert (found["partition"], found["position"], found["owed_position"]) == (3, 2, None)
    assert (found["config"], found["plan"], found["policy"], found["key"]) == (4, 3, 2, 1)
    assert (found["origin"], found["flags"], found["original_at"]) == ("received", ["json_repaired"], None)
    assert found["judged_at"].timestamp() * 1e6 == RECEIVED_AT + 9


def test_routed_events_know_their_place_in_owed(tmp_path):
    tables = TrailTables(tmp_path)
    first = owed(10, [row(1, "unrouted"), row(2), row(3, "dropped:duplicate"), row(4)])
    tables.store_trail(0, [first, owed(12, [row(5), row(6, "quarantined:poison")])])
    places = {n: find_event(tmp_path, event_id(FIRST, n))[0]["owed_position"] for n in range(1, 7)}
    assert places == {1: None, 2: 10, 3: None, 4: 11, 5: 12, 6: None}


def test_a_message_id_finds_every_resend_in_order(tmp_path):
    tables = TrailTables(tmp_path)
    tables.store_trail(0, [owed(1, [row(2, "dropped:duplicate", message_id="m")], now=RECEIVED_AT + 20)])
    tables.store_trail(0, [owed(2, [row(1, message_id="m"), row(3)], now=RECEIVED_AT + 10)])
    assert [one["fate"] for one in find_message(tmp_path, "m")] == ["routed", "dropped:duplicate"]
    assert len(find_message(tmp_path, "m", limit=1)) == 1
    assert find_message(tmp_path, "'") == []


def test_frames_are_stored_once(tmp_path):
    tables = TrailTables(tmp_path)
    frames = [owed(1, [row(1)]), owed(2, [row(2)])]
    tables.store_trail(0, frames)
    assert tables.store_trail(0, frames) == 0
    assert tables.store_trail(0, [*frames, owed(3, [row(3)])]) == 1
    assert tables.upto(OWED_TOPIC, 0) == 3
    assert tables.upto(OWED_TOPIC, 1) == -1
    tables.close()
    assert TrailTables(tmp_path).upto(OWED_TOPIC, 0) == 3
    assert len(find_event(tmp_path, event_id(FIRST, 1))) == 1


def test_a_frame_without_events_moves_on(tmp_path):
    tables = TrailTables(tmp_path)
    tables.store_trail(0, [owed(5, [])])
    assert tables.upto(OWED_TOPIC, 0) == 5


def test_receipts_are_found_by_place_and_by_event(tmp_path):
    tables = TrailTables(tmp_path)
    mine, other = event_id(FIRST, 5), event_id(FIRST, 6)
    tables.store_receipts(0, [answered(1, receipt(1, 4)), answered(2, receipt(5, 9, at=RECEIVED_AT + 2))])
    tables.store_receipts(0, [answered(3, receipt(5, 5, mine, "retry"), receipt(6, 6, other, "rejected"))])
    found = find_receipts(tmp_path, 0, 5, mine)
    assert [(one["verdict"], one["event_id"] is None) for one in found] == [("retry", False), ("delivered", True)]
    assert [one["verdict"] for one in find_receipts(tmp_path, 0, 6, other)] == ["rejected", "delivered"]
    assert find_receipts(tmp_path, 1, 5, mine) == []
    assert tables.upto(RECEIPTS_TOPIC, 0) == 4


def test_nothing_is_found_before_there_are_tables(tmp_path):
    assert find_event(tmp_path, FIRST) == []
    assert find_receipts(tmp_path, 0, 1, FIRST) == []
