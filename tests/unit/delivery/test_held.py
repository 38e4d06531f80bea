from msgspec.structs import replace

from customhouse.delivery.retry.held import Held
from customhouse.model.frames import HeldEvent
from customhouse.testing.builders import event


def held(position: int, key: str, due_at: int = 0) -> HeldEvent:
    return HeldEvent("crm", 0, position, event(position=position, anonymous_id=key), 1, 0, due_at, "server_error", "")


def test_the_first_due_is_next():
    everyone = Held(by_key=False)
    for one in (held(1, "ada", 30), held(2, "ada", 10), held(3, "bob", 20)):
        everyone.put(one)
    order = []
    while one := everyone.next():
        order.append(one.position)
        everyone.remove(one.event.id)
    assert order == [2, 3, 1]
    assert not everyone.blocks("ada")


def test_a_key_keeps_its_order():
    everyone = Held(by_key=True)
    everyone.fill([held(4, "ada", 5), held(1, "ada", 90), held(2, "bob", 50)])
    assert everyone.next().position == 2
    everyone.remove(held(2, "bob").event.id)
    assert everyone.next().position == 1
    assert everyone.blocks("ada") and not everyone.blocks("bob") and not everyone.blocks("")
    everyone.put(replace(held(1, "ada"), due_at=200))
    assert (everyone.next().position, everyone.next().due_at) == (1, 200)
    everyone.remove(held(1, "ada").event.id)
    assert everyone.next().position == 4
    assert len(everyone) == 1


def test_what_has_no_key_waits_for_nobody():
    everyone = Held(by_key=True)
    first = replace(held(1, "x", 90), event=event(position=1, anonymous_id=None, user_id=None))
    second = replace(held(2, "x", 10), event=event(position=2, anonymous_id=None, user_id=None))
    everyone.fill([first, second])
    assert not everyone.blocks("")
    assert everyone.next().position == 2


def test_filling_again_changes_nothing():
    everyone = Held(by_key=True)
    everyone.put(held(1, "ada", 70))
    everyone.fill([held(1, "ada", 5)])
    assert everyone.next().due_at == 70
    everyone.remove(b"unknown")
    assert len(everyone) == 1
