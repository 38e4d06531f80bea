import pytest

from customhouse.testing.builders import event, events


def test_changes_are_taken_and_the_rest_is_usual():
    changed = event(name="Signed Up", user_id=None)

    assert (changed.name, changed.user_id) == ("Signed Up", None)
    assert changed.source == event().source


def test_mappings_become_json_text():
    assert event(properties={"total": 1}).properties == b'{"total":1}'
    assert event(properties=b'{"total": 1}').properties == b'{"total": 1}'


def test_position_gives_ids_of_their_own():
    first, second = events(2)

    assert (first.position, second.position) == (1, 2)
    assert first.id != second.id
    assert first.message_id != second.message_id


def test_only_a_track_has_a_name_and_properties_of_itself():
    assert (event(type="identify").name, event(type="identify").properties) == ("", b"{}")
    assert event(type="page", name="Home").name == "Home"


def test_order_key_follows_the_ids():
    assert event(anonymous_id=None, user_id="u").order_key == "u"
    assert event(anonymous_id="a", user_id="u").order_key == "a"
    assert event(anonymous_id=None, user_id=None).order_key == ""


def test_a_field_that_does_not_exist_is_refused():
    with pytest.raises(TypeError):
        event(colour="red")
