from collections import defaultdict
from itertools import islice

import msgspec
import pytest

from customhouse.demo import shop
from customhouse.demo.conduct import Drafts, Wishes
from customhouse.demo.mistakes import shares
from customhouse.demo.packets import Packer
from customhouse.demo.traffic import Habits, Timing, traffic
from customhouse.demo.wire import BROWSERS, finish

START = 1_767_268_800_000_000
DAY = 86_400_000_000


def bodies(seed=1, start=START, level="some", count=3000, **others):
    wishes = Wishes(seed=seed, rate=50, seconds=0, events=count, shares=shares(level), **others)
    drafts = islice(Drafts(wishes, start), count)
    return [finish(draft).body for several in drafts for draft, _ in several]


@pytest.fixture(scope="module")
def visits():
    """All whole visits among twenty thousand calls."""
    found = defaultdict(list)
    for happening in islice(traffic(5, Timing(START, 50)), 20_000):
        found[happening.visit.session].append(happening)
    return [calls for calls in found.values() if calls[-1].last]


def share(visits, name):
    return sum(any(call.step.name == name for call in calls) for calls in visits) / len(visits)


def test_a_seed_and_a_start_make_the_same_bytes():
    assert bodies() == bodies()


def test_another_seed_makes_others():
    assert not set(bodies(seed=1)) & set(bodies(seed=2))


def test_a_later_run_brings_the_same_people_and_new_messages():
    def ids(start):
        read = [msgspec.json.decode(body) for body in bodies(start=start, level="none")]
        return {each.get("userId") for each in read}, {each["messageId"] for each in read}

    (people, messages), (again, others) = ids(START), ids(START + DAY)
    assert people == again
    assert len(people) > 20
    assert not messages & others


def test_mistakes_do_not_change_the_shop():
    def ids(level):
        wishes = Wishes(rate=50, seconds=0, events=800, shares=shares(level, {"link_missing": 0.0}))
        several = islice(Drafts(wishes, START), 800)
        return [drafts[0][0].event["messageId"] for drafts in several]

    assert ids("none") == ids("many")


def test_live_calls_are_evenly_spaced():
    calls = list(islice(traffic(1, Timing(START, 50)), 500))
    assert [call.at for call in calls] == [START + nth * 20_000 for nth in range(500)]


def test_the_funnel_is_believable(visits):
    assert 0.70 < share(visits, "Product Viewed") < 0.88
    assert 0.22 < share(visits, "Product Added") < 0.42
    assert 0.13 < share(visits, "Checkout Started") < 0.30
    assert 0.07 < share(visits, "Order Completed") < 0.18
    assert 0 < share(visits, "Order Refunded") < 0.02
    assert 0 < share(visits, "Segment Consent Preference Updated") < 0.08
    assert 6 < sum(map(len, visits)) / len(visits) < 10


def test_orders_follow_their_cart(visits):
    for calls in visits:
        names = [call.step.name for call in calls if call.step.type == "track"]
        if "Order Completed" in names:
            assert names.index("Product Added") < names.index("Checkout Started") < names.index("Order Completed")
    bought = [call.step for calls in visits for call in calls if call.step.name == "Order Completed"]
    for step in bought:
        said = step.said
        assert step.user_id
        assert said["products"]
        expected = said["subtotal"] - said["discount"] + said["shipping"]
        assert said["total"] == pytest.approx(expected, abs=0.02)
    assert {step.origin for step in bought} == {"browser", "server"}, "hybrid: both tell of orders"


def test_anonymous_people_become_known_and_stay_so(visits):
    named, seen = defaultdict(set), defaultdict(list)
    for calls in visits:
        for call in calls:
            if call.step.origin == "browser":
                seen[call.step.anonymous_id].append(bool(call.step.user_id))
            if call.step.user_id and call.step.anonymous_id:
                named[call.step.anonymous_id].add(call.step.user_id)
    assert all(len(users) == 1 for users in named.values()), "nobody shares a browser"
    assert any(False in known and True in known for known in seen.values())
    devices = defaultdict(set)
    for anonymous, users in named.items():
        devices[next(iter(users))].add(anonymous)
    assert any(len(browsers) > 1 for browsers in devices.values()), "some have several devices"


def test_a_sign_up_without_a_link_never_names_both():
    steps = [call.step for call in islice(traffic(3, Timing(START, 50), Habits(unlinked=lambda: True)), 3000)]
    ups = [step for step in steps if step.name == "Signed Up"]
    assert ups
    assert all(step.user_id and not step.anonymous_id and step.origin == "server" for step in ups)


def test_visits_begin_in_every_way(visits):
    channels = defaultdict(int)
    for calls in visits:
        channels[calls[0].visit.arrival.channel] += 1
    assert set(channels) == {"organic", "paid_search", "email", "social", "direct"}
    assert channels["organic"] > channels["paid_search"] > channels["social"] > channels["direct"]


def test_nobody_and_nothing_is_real(visits):
    emails = {call.visit.person.email for calls in visits for call in calls}
    assert all(email.endswith("@example.com") for email in emails)
    assert len(shop.CATALOGUE) == 60
    assert len({product.product_id for product in shop.CATALOGUE}) == 60
    assert len({product.url for product in shop.CATALOGUE}) == 60


def test_history_fills_the_past_and_nothing_else():
    count, days = 6000, 7
    calls = list(traffic(1, Timing(START, 50, days * DAY / 1e6, count)))
    assert len(calls) == count
    ages = [(START - call.at) / DAY for call in calls]
    assert min(ages) >= 0
    assert max(ages) <= days
    per_day = [sum(day <= age < day + 1 for age in ages) for day in range(days)]
    assert min(per_day) > count / days / 4
    evening = sum(call.at % DAY // (DAY // 24) in range(16, 22) for call in calls)
    night = sum(call.at % DAY // (DAY // 24) in range(4, 10) for call in calls)
    assert evening > 1.5 * night


def test_every_sdk_writes_as_it_does():
    wishes = Wishes(rate=50, seconds=0, events=4000, shares=shares("none"))
    shown, packer = {}, Packer(50)
    for nth, several in enumerate(islice(Drafts(wishes, START), 4000)):
        for draft, _ in several:
            shown.setdefault((draft.sender, draft.event["type"]), draft.event)
            for packet in [*packer.add(draft, nth / 50), *packer.ripe(nth / 50)]:
                assert packet.body(START)
                assert ("Origin" in packet.headers) == (draft.sender in BROWSERS) or packet.batch
    identify = {sender: event for (sender, kind), event in shown.items() if kind == "identify"}
    assert len(identify) >= 5, "all six in the long run"
    assert "traits" not in identify["RudderLabs JavaScript SDK"]
    assert identify["RudderLabs JavaScript SDK"]["context"]["traits"]["email"].endswith("@example.com")
    assert identify["analytics.js"]["traits"]["name"]
    assert shown["analytics.js", "page"]["messageId"].startswith("ajs-next-")
    assert "timestamp" not in shown["RudderLabs JavaScript SDK", "page"]
    assert shown["analytics-python", "page"]["timestamp"].endswith("+00:00")
