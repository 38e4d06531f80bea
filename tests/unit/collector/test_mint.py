import uuid

from hypothesis import given
from hypothesis import strategies as st

from customhouse.collector.mint import Mint
from customhouse.model.envelope import event_id


def test_ids_are_version_seven_and_leave_room_for_the_letters():
    now = 1_700_000_000_123_456_789
    id_ = uuid.UUID(bytes=Mint().id(now))
    assert (id_.version, id_.variant) == (7, uuid.RFC_4122)
    assert id_.int >> 80 == now // 1_000_000
    assert id_.int & 4095 == 0
    assert uuid.UUID(bytes=event_id(id_.bytes, 4095)).int == id_.int + 4095


@given(st.lists(st.integers(1_600_000_000 * 10**9, 1_600_000_001 * 10**9), min_size=2, max_size=50))
def test_ids_only_grow_even_when_the_clock_does_not(times):
    mint = Mint()
    ids = [mint.id(now) for now in times]
    assert sorted(set(ids)) == ids
    assert {uuid.UUID(bytes=id_).version for id_ in ids} == {7}


def test_two_processes_do_not_make_the_same_id():
    now = 1_700_000_000 * 10**9
    assert Mint().id(now) != Mint().id(now)
