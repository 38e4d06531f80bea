import json

import pytest

from customhouse.model.errors import Broken
from customhouse.plan.definition import Definition
from customhouse.plan.plan import Plan


def definition(event: str = "A", **changes) -> Definition:
    return Definition(**{"event": event, "version": "1.0.0", "owner": "o", "description": "d", **changes})


def test_a_snapshot_holds_the_whole_plan():
    plan = Plan.of(
        [
            definition("B", requires=("user_id",), properties={"x": {"minimum": 1.0, "enum": [1, None, "ü"]}}),
            definition("A", required=("x",), properties={"x": True}, additional_properties=False),
        ]
    )

    assert Plan.from_snapshot(plan.to_snapshot()) == plan
    assert Plan.from_snapshot(plan.to_snapshot()).digest == plan.digest


def test_the_digest_does_not_depend_on_the_order_of_anything():
    one = Plan.of([definition("A", properties={"x": {"type": "string", "minLength": 1}, "y": True}), definition("B")])
    two = Plan.of([definition("B"), definition("A", properties={"y": True, "x": {"minLength": 1, "type": "string"}})])

    assert one.digest == two.digest
    assert list(one.events[0].properties) == list(two.events[0].properties)


def test_the_digest_changes_with_what_the_plan_says():
    assert Plan.of([definition()]).digest != Plan.of([definition(owner="somebody else")]).digest
    assert Plan.of([]).digest != Plan.of([definition()]).digest


@pytest.mark.parametrize(
    "damage",
    [b"", b"{}", b"[]", b'{"format":2,"events":[]}', b'{"format":1,"events":[{}]}', b'{"format":1,"events":[],"x":1}'],
)
def test_a_damaged_snapshot_is_broken(damage):
    with pytest.raises(Broken):
        Plan.from_snapshot(damage)


def test_a_snapshot_says_its_format():
    assert json.loads(Plan().to_snapshot()) == {"format": 1, "events": []}
