"""
The official browser SDKs on a page of another origin: load through our settings answers, make every call, send batches.

What the page said stands in the lake, once and untouched, consent among it; and the browser had nothing to complain of.
"""

import json

import pytest
from house import House
from sdk.site import FILES, LIBRARIES, load, needs, requests_of, rows_of, serving

FAMILIES = tuple(FILES)
CASES = ("calls", "batch", "consent")
PROPERTIES = {"total": 25.5, "count": 3, "nested": {"list": [1, "two", None]}, "text": "ünïcode 🎉"}
CALLS = """async ([properties]) => {
    const a = window.analytics
    const said = [
        a.identify("u1", { plan: "pro", age: 30 }),
        a.track("Order Completed", properties),
        a.page("Docs", "Home", { own: 1 }),
        a.group("g1", { employees: 12 }),
        a.alias("u2", "u1"),
    ]
    if (a.screen) said.push(a.screen("Shop", "Main", { dark: true }))
    await Promise.all(said)
}"""
SEGMENT_CONSENT = {"consent": {"categoryPreferences": {"Analytics": True, "Advertising": False}}}
RUDDER_CONSENT = {"allowedConsentIds": ["C0001"], "deniedConsentIds": ["C0004"]}


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    """One house with a source for each case, named and keyed by it."""
    names = [f"{family}-{case}" for family in FAMILIES for case in CASES]
    sources = {name: {"write_key": f"key-{name}"} for name in names}
    with House(tmp_path_factory.mktemp("calls") / "house", sources=sources) as running:
        yield running


@pytest.fixture(scope="module")
def site():
    with serving() as address:
        yield address


@pytest.mark.parametrize("family", FAMILIES)
def test_every_call_arrives_once_with_its_fields(door, site, page, family):
    needs(family)
    sent = requests_of(page, "/v1/")
    load(page, family, site, f"key-{family}-calls", door.url)
    page.evaluate(CALLS, [PROPERTIES])
    rows = rows_of(page, door, f"{family}-calls", 6 if family == "segment" else 5)
    found = {row["type"]: row for row in rows}
    assert found["identify"]["user_id"] == "u1"
    assert found["identify"]["traits"] == {"plan": "pro", "age": 30}
    assert (found["track"]["event"], found["track"]["properties"]) == ("Order Completed", PROPERTIES)
    home = found["page"]
    assert (home["category"], home["event"], home["properties"]["own"]) == ("Docs", "Home", 1)
    assert home["properties"]["url"].startswith(f"{site}/{family}?")
    assert (found["group"]["group_id"], found["group"]["traits"]) == ("g1", {"employees": 12})
    # Segment's SDK gives an alias the user id it knows, whatever the caller says.
    assert (found["alias"]["user_id"], found["alias"]["previous_id"]) == ("u1" if family == "segment" else "u2", "u1")
    if family == "segment":
        assert (found["screen"]["event"], found["screen"]["category"]) == ("Main", "Shop")
        assert found["screen"]["properties"] == {"dark": True}
    for row in rows:
        library = row["context"]["library"]
        assert (library["name"], library["version"]) == LIBRARIES[family]
        assert row["context"]["campaign"] == {"source": "news", "medium": "email"}
        assert (row["protocol"], row["anonymous_id"] is not None) == (family, True)
        assert row["sent_at"] and row["original_at"] and "Chrome" in row["user_agent"]
        assert row["flags"] in (None, [], "[]")
    assert len({row["anonymous_id"] for row in rows}) == 1
    bodies = [json.loads(request.post_data) for request in sent if request.method == "POST"]
    said = {body["messageId"]: body for body in bodies if "messageId" in body}
    for row in rows:
        assert row["context"] == said[row["message_id"]]["context"], "what the page said of itself is untouched"
        assert row["anonymous_id"] == said[row["message_id"]]["anonymousId"]


@pytest.mark.parametrize("family", FAMILIES)
def test_batches_arrive_whole(door, site, page, family):
    needs(family)
    options = {
        "segment": {
            "integrations": {
                "Segment.io": {"deliveryStrategy": {"strategy": "batching", "config": {"size": 3, "timeout": 300}}}
            }
        },
        "rudderstack": {"queueOptions": {"batch": {"enabled": True, "maxItems": 3, "flushInterval": 60_000}}},
    }
    sent = requests_of(page, door.url)
    load(page, family, site, f"key-{family}-batch", door.url, **options[family])
    page.evaluate("() => { for (let n = 0; n < 6; n++) window.analytics.track(`Event ${n}`, { n }) }")
    rows = rows_of(page, door, f"{family}-batch", 6)
    assert [(row["event"], row["properties"]) for row in rows] == [(f"Event {n}", {"n": n}) for n in range(6)]
    paths = [request.url.removeprefix(door.url) for request in sent if request.method == "POST"]
    assert set(paths) == {{"segment": "/v1/b", "rudderstack": "/v1/batch"}[family]}
    assert len(paths) < 6


@pytest.mark.parametrize("family", FAMILIES)
def test_consent_arrives_untouched(door, site, page, family):
    needs(family)
    options = {
        "segment": {},
        "rudderstack": {
            "preConsent": {"enabled": True, "events": {"delivery": "buffer"}},
            "consentManagement": {"enabled": True, "provider": "custom"},
        },
    }
    said = {
        "segment": 'consent => window.analytics.track("Seen", {}, { context: consent })',
        "rudderstack": """consent => {
            window.analytics.consent({ consentManagement: { enabled: true, provider: "custom", ...consent } })
            window.analytics.track("Seen")
        }""",
    }
    consent = {"segment": SEGMENT_CONSENT, "rudderstack": RUDDER_CONSENT}[family]
    load(page, family, site, f"key-{family}-consent", door.url, **options[family])
    page.evaluate(said[family], consent)
    (row,) = rows_of(page, door, f"{family}-consent", 1)
    if family == "segment":
        assert row["context"]["consent"] == SEGMENT_CONSENT["consent"]
    else:
        assert row["context"]["consentManagement"] == {"provider": "custom", **RUDDER_CONSENT}
