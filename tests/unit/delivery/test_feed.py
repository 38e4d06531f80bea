from workbench import Bench

from customhouse.delivery.reading.feed import Feed, Owing
from customhouse.model.frames import OwedFrame


def test_lanes_at_the_same_place_share_what_is_decoded():
    bench = Bench()
    bench.owe(3, to=("crm", "lake"))
    bench.owe(2, to=("lake",))
    feed = Feed(bench.log)
    first, second = feed.read(0, after=-1, limit=1 << 20), feed.read(0, after=-1, limit=1 << 20)
    assert [owed for _, owed in first] == [owed for _, owed in second]
    assert all(a is b for (_, a), (_, b) in zip(first, second, strict=True))
    mine = feed.events_for(*first[0], "crm", -1)
    others = feed.events_for(*second[0], "lake", 0)
    assert [position for position, _ in mine] == [0, 1, 2]
    assert [position for position, _ in others] == [1, 2]
    assert mine[1][1] is others[0][1]
    assert feed.events_for(*first[1], "crm", -1) == []


def test_a_small_cache_forgets_and_still_reads():
    bench = Bench()
    for _ in range(5):
        bench.owe(2)
    feed = Feed(bench.log, cache_bytes=1)
    found = feed.read(0, after=3, limit=1 << 20)
    assert [frame.base for frame, _ in found] == [4, 6, 8]
    assert [len(feed.events_for(*each, "crm", -1)) for each in found] == [2, 2, 2]
    assert feed.newest(0)[0].base == 8
    assert feed.newest(7) is None
    assert feed.partitions() == [0]


def test_a_lane_reads_the_fields_of_a_frame_in_their_order():
    fields = OwedFrame.__struct_fields__
    assert Owing.__struct_fields__ == fields[: len(Owing.__struct_fields__)]
    assert Owing.__struct_fields__[-1] == "owed"
