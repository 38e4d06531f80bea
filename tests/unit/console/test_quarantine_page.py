"""The Quarantine pages without a house: what they mark, mask, ask and hand on."""

import json
import re

import msgspec
import pytest
from desks import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from customhouse.console.pages.quarantine import quarantine_page
from customhouse.console.pages.quarantine_data import (
    Act,
    Change,
    Checked,
    Choice,
    Fits,
    Foreseen,
    Group,
    Held,
    Lane,
    Line,
    Run,
    Step,
    Whole,
)
from customhouse.console.pages.quarantine_forms import suggested
from customhouse.console.pages.quarantine_mask import Lost, Veil
from customhouse.console.pages.quarantine_shown import Problem, difference, event_rows, locate, problems
from customhouse.model.errors import Unavailable

ID = "019b7972-0e00-7000-8000-000000000000"
BODY = {
    "type": "track", "event": "Order", "messageId": "m-1", "userId": "ada@example.com",
    "properties": {"total": "12", "items": [{"price": 1}, {"price": "<b>"}], "email": "ada@example.com"},
}  # fmt: skip
DETAIL = "items[1].price: expected number, came string; currency: is required and missing"


def refer(kind, person):
    return f"p_{kind}{len(person)}"


class Source:
    """A quarantine of one group; notes what it was asked for."""

    def __init__(self, *, body=BODY, destination="", answers=True):
        self.body, self.destination, self.answers = json.dumps(body), destination, answers
        self.asked = []
        self.ref = f"{ID}@{destination}" if destination else ID

    def held(self, fits):
        group = Group(
            reason="schema_violation", event="Order", destination=self.destination, count=1200, first=1, last=2,
            sources={"web": 1200}, libraries=["analytics.js 1"], releases=[3], example=self.ref,
        )  # fmt: skip
        fitting = fits.takes("schema_violation", "Order", "web", self.destination)
        return Held(groups=[group] if fitting else [], counted=1200, total=1200)

    def lines(self, fits, most):
        self._fail()
        return [
            Line(ref=self.ref, id=ID, at=1, source="web", event="Order", reason="schema_violation",
                 detail="said ada@example.com", destination=self.destination, message_id="m-1")
        ]  # fmt: skip

    def whole(self, ref):
        return Whole(
            ref=ref, id=ID, at=1, source="web", type="track", event="Order", reason="schema_violation", detail=DETAIL,
            destination=self.destination, message_id="m-1", plan_release=3, library="", body=self.body,
        ) if ref.startswith(ID) else None  # fmt: skip

    def faults(self, steps):
        return [] if steps else ["the repair has no step"]

    def foresee(self, verb, choice, steps):
        self.asked.append((verb, choice, list(steps)))
        self._fail()
        return Foreseen(
            count=1200, judged=1000, passing=812, held={"schema_violation": 188}, copies={"lake": 812},
            details=["total: expected number"], changed=900, untouched={"properties.total holds text": 100},
            examples=[Change(ID, self.body, self.body.replace('"12"', "12"), "routed")] if steps else [],
            lanes=[Lane("hook", 0, "paused", ready=False)] if self.destination else [],
        )  # fmt: skip

    def check(self, ref, text):
        self.asked.append(("check", ref, text))
        self._fail()
        good = '"total":12' in text.replace(" ", "")
        return Checked("routed", "", {"lake": 1}) if good else Checked("quarantined:schema_violation", DETAIL)

    def begin(self, verb, choice, steps, text):
        self.asked.append((verb, choice, list(steps), text))
        self._fail()
        return "run1"

    def run(self, run_id):
        return Run(
            id="run1", verb="replay", about="2 events", total=2, asked=2, done=2, again=1, missing=0, problem="",
            finished=True, back=Choice(Fits("schema_violation")), refs=[ID],
        ) if run_id == "run1" else None  # fmt: skip

    def refer(self, kind, person):
        return refer(kind, person)

    def reveal(self, ref):
        self._fail()
        self.asked.append(("shown", ref))

    def audit(self):
        return [Act(1, "replay", "console", 2, 2, 1, "pipeline", "done")]

    def _fail(self):
        if not self.answers:
            raise Unavailable("the pipeline does not run, so nobody can judge the events: start it")


def client(**changes):
    source = Source(**changes)
    asking = Client(lambda desk: quarantine_page(desk, source))
    asking.source = source
    return asking


def test_the_page_groups_and_marks_and_masks():
    got = client().get("/quarantine?reason=schema_violation&event=Order")
    assert got.status == 200
    assert "1,200 events are held back" in got.text
    assert "Repair the sender or the plan; replay." in got.text
    marked = re.findall(r'class="offends[^"]*">\s*<b>([^<]*)</b>.*?</span> ([^<]*)</span>', got.text)
    assert marked == [("&#34;price&#34;: &#34;&lt;b&gt;&#34;", "expected number, came string"),
                      ("&#34;currency&#34;", "is required and missing")]  # fmt: skip
    assert "ada@example.com" not in got.text
    assert "p_user15" in got.text
    assert "/quarantine/replay?reason=schema_violation&amp;event=Order" in got.text


def test_a_group_has_its_own_address_and_tables():
    asking = client()
    (row,) = asking.get("/quarantine.json").json()
    assert (row["reason"], row["event"], row["events"]) == ("schema_violation", "Order", 1200)
    assert asking.get("/quarantine.json?reason=poison").json() == []
    assert asking.get("/quarantine.csv").text.startswith("reason,event,events")
    (line,) = asking.get("/quarantine/events.json").json()
    assert (line["id"], line["detail"]) == (ID, "said ••••")
    (act,) = asking.get("/quarantine/audit.json").json()
    assert (act["verb"], act["again"], act["window"]) == ("replay", 1, "console")
    assert 'href="/quarantine?reason=schema_violation&amp;event=Order"' in asking.get("/quarantine").text


def test_nothing_held_is_said_calmly_and_counting_honestly():
    asking = client()
    asking.source.held = lambda _fits: Held(groups=(), counted=0, total=0)
    assert "Nothing is held back" in asking.get("/quarantine").text
    asking.source.held = lambda _fits: Held(groups=(), counted=34_000, total=100_000)
    text = asking.get("/quarantine").text
    assert "34,000 of 100,000 held events are counted" in text
    assert 'hx-trigger="every 1s"' in text
    asking.source.held = lambda _fits: Held(groups=(), counted=0, total=0, ready=False)
    assert "Still counting what is held back" in asking.get("/quarantine").text
    assert "/quarantine/replay" not in text


def test_acts_say_numbers_first_and_carry_the_choice():
    asking = client()
    page = asking.get("/quarantine/discard?reason=schema_violation").text
    assert "<form" not in page, "nothing can be confirmed before the numbers are there"
    told = asking.get("/quarantine/preview?verb=discard&reason=schema_violation").text
    assert "1,200 events would end for good" in told and "cannot be undone" in told
    told = asking.get("/quarantine/preview?verb=replay&reason=schema_violation").text
    assert "812 of 1,000 would pass" in told
    assert "The newest 1,000 of 1,200 were judged" in told
    assert "lake: 812" in told
    got = asking.post("/quarantine/replay", {"reason": "schema_violation"})
    assert (got.status, got.headers["location"]) == (303, "/quarantine/runs/run1")
    assert asking.source.asked[-1] == ("replay", Choice(Fits("schema_violation")), [], "")
    assert "2 events were replayed" in asking.get("/quarantine/runs/run1").text
    assert asking.get("/quarantine/runs/other").status == 404


def test_a_selection_travels_by_reference_and_none_is_not_everything():
    asking = client()
    assert "No event was chosen" in asking.get("/quarantine/discard?selection=1").text
    told = asking.get(f"/quarantine/preview?verb=replay&id={ID}&id={ID}@hook").text
    assert f'value="{ID} {ID}@hook"' in told
    asking.post("/quarantine/discard", {"ids": f"{ID} {ID}@hook"})
    assert asking.source.asked[-1][1] == Choice(refs=(ID, f"{ID}@hook"))


def test_changes_need_the_proof():
    asking = client()
    for path in (
        "replay",
        "discard",
        "repair/preview",
        f"events/{ID}/check",
        f"events/{ID}/replay",
        f"events/{ID}/show",
    ):
        assert asking.post(f"/quarantine/{path}", {}, proof=False).status == 403
    assert asking.source.asked == []


def test_an_owner_that_does_not_answer_is_said_in_words():
    asking = client(answers=False)
    assert "the pipeline does not run" in asking.get("/quarantine/preview?verb=replay").text
    assert "<form" not in asking.get("/quarantine/preview?verb=replay").text
    assert "the pipeline does not run" in asking.post(f"/quarantine/events/{ID}/check", {"text": "{}"}).text
    assert asking.post("/quarantine/replay", {"ids": ID}).status == 503
    assert "the pipeline does not run" in asking.get("/quarantine/lines?reason=x").text


def test_a_group_is_repaired_in_steps_that_are_previewed():
    asking = client()
    form = asking.get("/quarantine/repair?reason=schema_violation").text
    assert 'value="properties.items[*].price"' in form
    said = {"reason": "schema_violation", "do0": "convert", "path0": "properties.total", "type0": "number",
            "do1": "set", "path1": "properties.currency", "value1": '"EUR"', "do2": "set", "path2": "left.alone"}  # fmt: skip
    told = asking.post("/quarantine/repair/preview", said).text
    steps = [Step("convert", "properties.total", "number"), Step("set", "properties.currency", '"EUR"')]
    assert asking.source.asked[-1] == ("replay", Choice(Fits("schema_violation")), steps)
    assert "812 of 1,000 would pass" in told and "100: properties.total holds text" in told
    assert "<ins>+     &#34;total&#34;: 12,</ins>" in told and "ada@example.com" not in told
    handed = re.search(r'name="steps" value="([^"]*)"', told)[1].replace("&#34;", '"')
    asking.post("/quarantine/replay", {"reason": "schema_violation", "steps": handed})
    assert asking.source.asked[-1] == ("replay", Choice(Fits("schema_violation")), steps, "")
    assert asking.post("/quarantine/replay", {"steps": "nonsense"}).status == 400
    assert "the repair has no step" in asking.post("/quarantine/repair/preview", {"do0": "explode", "path0": "a"}).text


def test_one_event_is_mended_under_its_mask():
    asking = client()
    page = asking.get(f"/quarantine/events/{ID}").text
    assert "ada@example.com" not in page
    text = re.search(r"<textarea[^>]*>(.*?)</textarea>", page, re.DOTALL)[1].replace("&#34;", '"').replace("&lt;", "<")
    mended = text.replace('"12"', "12").replace("&gt;", ">")
    told = asking.post(f"/quarantine/events/{ID}/check", {"text": mended}).text
    assert "It would pass" in told and "Replay repaired" in told and "ada@example.com" not in told
    verb, ref, judged = asking.source.asked[-1]
    assert (verb, ref) == ("check", ID)
    assert json.loads(judged) == BODY | {"properties": BODY["properties"] | {"total": 12}}
    asking.post(f"/quarantine/events/{ID}/replay", {"text": mended})
    assert json.loads(asking.source.asked[-1][3]) == json.loads(judged)
    asking.post(f"/quarantine/events/{ID}/replay", {"text": text.replace("&gt;", ">")})
    assert asking.source.asked[-1][3] == "", "what nobody changed goes again as it came"
    told = asking.post(f"/quarantine/events/{ID}/check", {"text": text}).text
    assert "held again: schema_violation" in told and "<code>properties.items[1].price</code>" in told


def test_personal_data_is_shown_to_who_asks_and_that_is_noted():
    asking = client()
    page = asking.post(f"/quarantine/events/{ID}/show", {})
    assert "ada@example.com" in page.text
    assert asking.source.asked == [("shown", ID)]
    away = client(answers=False).post(f"/quarantine/events/{ID}/show", {})
    assert (away.status, "ada@example.com" in away.text) == (503, False), "no line, no look"
    changed = json.dumps(BODY | {"userId": "eve@example.com"})
    told = asking.post(f"/quarantine/events/{ID}/check", {"text": changed, "shown": "1"}).text
    assert "eve@example.com" in told


def test_an_event_that_is_gone_leads_to_its_trail():
    got = client().get("/quarantine/events/0000")
    assert got.status == 404
    assert 'href="/events/0000"' in got.text


def test_a_refused_event_is_shown_and_not_repaired():
    asking = client(destination="hook")
    page = asking.get(f"/quarantine/events/{ID}@hook").text
    assert "Refused by" in page and "<textarea" not in page
    assert "/quarantine/repair" not in asking.get("/quarantine?destination=hook").text
    assert "paused" in asking.get("/quarantine/preview?verb=replay&destination=hook").text


# Marks and masks.


@pytest.mark.parametrize(
    ("reason", "kind", "detail", "paths"),
    [
        ("schema_violation", "track", "a.b: is wrong", ["properties.a.b"]),
        ("schema_violation", "track", "user_id: is wrong", ["properties.user_id"]),
        ("schema_violation", "track", "[0]: is wrong", ["properties[0]"]),
        ("schema_violation", "identify", "email: is wrong", ["traits.email"]),
        ("schema_violation", "track", "must be an object", [""]),
        ("requirement_missing", "track", "user_id: is required and missing; x: y", ["userId", "properties.x"]),
        ("requirement_missing", "track", "context.page.url: is required and missing", ["context.page.url"]),
        ("event_unreadable", "", "properties: an object was expected", ["properties"]),
        ("event_unplanned", "track", "release 3 of the plan has no such event", ["event"]),
        ("identity_missing", "track", "", ["userId", "anonymousId"]),
        ("poison", "track", "KeyError in stage x", [""]),
    ],
)
def test_problems_are_found_by_their_paths(reason, kind, detail, paths):
    assert [problem.path for problem in problems(reason, kind, detail)] == paths


def test_a_path_is_followed_through_keys_that_hold_dots():
    value = {"properties": {"a.b": {"c": [1, {"d": 2}]}, "a": {"b": 1}}}
    assert locate(value, "properties.a.b.c[1].d") == (("properties", "a.b", "c", 1, "d"), "")
    assert locate(value, "properties.a.b.x") == (("properties", "a.b"), ".x")
    assert locate(value, "properties.a.b.c[7]") == (("properties", "a.b", "c"), "[7]")
    assert locate(value, "properties.*.d")[0] == ("properties",)


def test_marks_go_by_path_and_not_by_text():
    text = '{"a":{"price":"x"},"b":{"price":"x"}}'
    rows = event_rows(text, [Problem("b.price", "wrong")])
    assert [nth for nth, row in enumerate(rows) if row.mark] == [5]
    assert json.loads("".join(row.text for row in rows)) == json.loads(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=6) | st.sampled_from(["ada@example.com", "10.0.0.1"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["email", "name", "user", "x", "a.b", "userId", "ip@x.yz"]), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip
objects = st.dictionaries(
    st.sampled_from(["userId", "properties", "traits", "context", "event"]), json_values, max_size=4
)


@settings(max_examples=200, deadline=None)
@given(value=objects)
def test_what_was_masked_and_left_alone_comes_back_as_it_was(value):
    text = msgspec.json.encode(value).decode()
    veil = Veil(refer, shown=False)
    assert json.loads(veil.unveil(veil.text(text), text)) == value


@settings(max_examples=100, deadline=None)
@given(value=objects, path=st.text("abc.[]0*", max_size=8))
def test_any_event_can_be_laid_out_with_any_mark(value, path):
    text = msgspec.json.encode(value).decode()
    rows = event_rows(text, [Problem(path, "wrong")])
    assert json.loads("".join(row.text for row in rows if row.mark != "missing")) == value


def test_a_masked_value_that_moved_is_found_or_asked_for():
    body = json.dumps({"traits": {"email": "ada@example.com", "phone": "+49 30 123456", "note": "+49 30 654321"}})
    veil = Veil(refer, shown=False)
    masked = json.loads(veil.text(body))
    masked["traits"]["mail"] = masked["traits"].pop("email")
    assert json.loads(veil.unveil(json.dumps(masked), body))["traits"]["mail"] == "ada@example.com"
    masked["traits"]["other"] = masked["traits"]["phone"]
    with pytest.raises(Lost):
        veil.unveil(json.dumps(masked), body)
    with pytest.raises(Lost):
        veil.unveil("•••• (text, 15", body)


def test_differences_and_suggestions():
    lines = difference('{"a":1,"b":2}', '{"a":1,"b":3}')
    assert [(line.sign, line.text.strip()) for line in lines if line.sign in "+-"] == [("-", '"b": 2'), ("+", '"b": 3')]
    assert difference('{"a":1}', '{ "a": 1 }') == []
    wrong = problems("schema_violation", "track", f"{DETAIL}; x: is not allowed by the plan")
    assert suggested(wrong) == [
        Step("convert", "properties.items[*].price", "number"),
        Step("set", "properties.currency"),
        Step("remove", "properties.x"),
    ]
