"""Masking: whatever a client plants in a personal place, and however deep, is not in what is shown; shapes and keys are."""

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customhouse.console.mask import Mask, looks_personal, plain

MARKER = "Xyzzyplugh"
NUMBER = 4915112345678
EVENT = {
    "type": "track", "event": "Order Completed", "messageId": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "userId": "u-1", "anonymousId": "a-1", "timestamp": "2026-11-01T10:00:00.000Z",
    "properties": {"total": 12.5, "currency": "EUR", "coupon": None},
    "context": {"library": {"name": "analytics-python", "version": "2.4.0"}, "page": {"path": "/shop/shoes"}},
}  # fmt: skip

leaves = st.none() | st.booleans() | st.integers(0, 9999) | st.sampled_from(["EUR", "red", "x"])
documents = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcde"), inner, max_size=3), max_leaves=8
)  # fmt: skip
personal_keys = st.sampled_from(
    ["name", "firstName", "last_name", "full name", "email", "contactEmail", "e-mail", "phone", "phone_number", "mobile",
     "address", "shipping_address", "street", "city", "zip", "postalCode", "birthday", "dob", "ip", "ipAddress",
     "username", "password", "api_token", "iban", "latitude", "advertisingId", "userId", "anonymous_id", "groupId",
     "previousId", "session_id", "customerId"]
)  # fmt: skip
trees = st.sampled_from(["traits", "user", "customer", "contact", "profile", "externalId"])
planted = st.sampled_from([MARKER, [MARKER], {"deep": {"er": [MARKER]}}, {MARKER.lower(): MARKER}])
looks = st.sampled_from(
    [f"{MARKER}@example.com", f"call {MARKER}@example.com now", f"https://x.example/?q={MARKER}", f"#token={MARKER}",
     f"eyJ{MARKER}abc.def", f"{MARKER}1234567890abc", f"see http://10.20.30.40/ ?a={MARKER}"]
)  # fmt: skip
steps = st.lists(st.sampled_from(["a", "items", "order", "meta", "page"]), max_size=4)


def refer(kind, person):
    return "p_" + hashlib.sha256(f"{kind} {person}".encode()).hexdigest()[:16]


def masked(value):
    return Mask(refer).value(value)


def at(path, value):
    for step in reversed(path):
        value = [value] if step == "items" else {step: value}
    return value


@settings(max_examples=150, deadline=None)
@given(document=documents, path=steps, key=personal_keys, value=planted)
def test_what_stands_under_a_personal_name_is_never_shown(document, path, key, value):
    event = EVENT | {"properties": {"before": document, "planted": at(path, {key: value}), "after": document}}
    shown = json.dumps(masked(event))
    assert MARKER not in shown
    assert f'"{key}"' in shown


@settings(max_examples=100, deadline=None)
@given(document=documents, path=steps, tree=trees, key=st.sampled_from("abc"))
def test_nothing_of_a_persons_tree_is_shown_but_its_shape(document, path, tree, key):
    event = EVENT | {"context": at(path, {tree: {key: [MARKER, document, {"x": MARKER}], "n": NUMBER}})}
    shown = json.dumps(masked(event))
    assert MARKER not in shown and str(NUMBER) not in shown
    assert f'"{tree}"' in shown


@settings(max_examples=100, deadline=None)
@given(path=steps, key=st.sampled_from(["note", "label", "x", "search"]), value=looks)
def test_what_looks_personal_is_masked_wherever_it_stands(path, key, value):
    assert MARKER not in json.dumps(masked(EVENT | {"properties": at(path, {key: value})}))


@given(path=steps, mail=st.sampled_from([f"{MARKER}@example.com", "+49 151 1234 5678 9"]))
def test_keys_that_look_personal_are_masked_too(path, mail):
    shown = json.dumps(masked({"properties": at(path, {mail: 1, "kept": 2})}))
    assert mail not in shown and '"kept": 2' in shown


@pytest.mark.parametrize("name", ["userId", "user_id", "UserID", "anonymousId", "previous_id", "groupId"])
def test_ids_become_references_that_stay_the_same(name):
    first, second = masked({name: "Ada"}), masked({"deep": {name: "Ada"}})
    assert first[name].startswith("p_") and second["deep"][name] == first[name]
    assert masked({name: 17})[name].startswith("p_"), "an SDK may send numbers"
    assert masked({name: None}) == {name: None}


def test_what_is_not_personal_stays_to_be_read():
    shown = masked(EVENT)
    kept = ("type", "event", "messageId", "timestamp", "properties", "context")
    assert {name: shown[name] for name in kept} == {name: EVENT[name] for name in kept}


def test_a_masked_value_tells_its_kind_and_length():
    shown = masked({"traits": {"name": "Ada Lovelace", "age": 36, "vip": True, "none": None}})
    assert shown["traits"] == {
        "name": "•••• (text, 12)", "age": "•••• (number)", "vip": "•••• (true or false)", "none": None,
    }  # fmt: skip


def test_the_query_of_an_address_is_masked_and_the_rest_is_not():
    url = "https://shop.example/search?q=ada"
    assert masked({"properties": {"url": url}}) == {"properties": {"url": "https://shop.example/search?•••• (text, 5)"}}


@pytest.mark.parametrize(
    "text",
    ["ada@example.com", "10.1.2.3", "2001:db8::1:2", "+49 151 123456", "0151 1234567", "eyJhbGciOiJIUzI1NiJ9.x",
     "0f8fad5b-d9cb-469f-a165-70867728950e", "a1b2c3d4e5f6a7b8c9d0e1f2"],
)  # fmt: skip
def test_what_looks_personal(text):
    assert looks_personal(text)


@pytest.mark.parametrize(
    "text", ["", "EUR", "12.50", "2026-11-01", "2026-11-01T10:00:00Z", "Order Completed", "2.4.0", "/shop/red-shoes"]
)
def test_what_does_not(text):
    assert not looks_personal(text)


def test_what_was_masked_is_masked_in_what_others_say_about_it():
    mask = Mask(refer)
    mask.value({"traits": {"name": "Ada Lovelace"}, "userId": "u-4711"})
    assert mask.text("400: no customer Ada Lovelace (u-4711)") == "400: no customer •••• (••••)"
    assert plain("mail ada@example.com from 10.1.2.3") == "mail •••• from ••••"


def test_nesting_without_end_is_cut_and_shows_nothing():
    value = MARKER
    for _ in range(300):
        value = {"a": value}
    assert MARKER not in json.dumps(masked(value))
