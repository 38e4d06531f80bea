"""The pages Destinations and Alarms: what they show, what they ask before, and what programs get."""

import csv
import io

import pytest
from desks import Client
from msgspec.structs import replace

from customhouse.alarms.kinds import KINDS
from customhouse.console.pages.alarms import AlarmLine, AlarmsShown, alarms_page
from customhouse.console.pages.destinations import Done, Effects, destinations_page
from customhouse.model.standing import AnswerLine, DestinationState

AT = 1_700_000_000_000_000
REFUSED = AnswerLine(
    status=401, reason="unauthorized", meaning="It refuses our credentials.", count=3, first_at=AT, last_at=AT
)
CRM = DestinationState(
    name="crm", kind="webhook", where="https://hooks.example.com", state="running", state_since=AT,
    words="It takes what it is sent; nothing waits.", lag_events=1234, oldest_seconds=95.0, retrying=0, rate=12.5,
    success=0.975, delivered=1_000_000, rejected=7, expired=0, breaker="closed", failures=0,
    last_answer="200 delivered", answers=[REFUSED], paused_at=None, paused_by="", pausable=True, backlog_events=5000,
    backlog_seconds=86_400.0, budget_used=0.2468, held_bytes=4_500_000,
)  # fmt: skip
LAKE = replace(CRM, name="lake", kind="lake", where="", pausable=False, answers=[], rejected=0, breaker="", rate=None)


class Asked:
    """A house that remembers what it was asked to do."""

    def __init__(self, *states, ok=True):
        self.states = list(states)
        self.ok = ok
        self.acts = []

    def all(self):
        return self.states

    def look(self):
        self.acts.append(("look", ""))

    def effects(self, state):
        return Effects(f"{state.lag_events:,} wait now", "sending begins", f"{state.rejected} are sent once more")

    def act(self, what, name):
        self.acts.append((what, name))
        return Done(self.ok, "done" if self.ok else "the disk is full")


def ask(*states, **more):
    source = Asked(*states, **more)
    return source, Client(lambda desk: destinations_page(desk, source))


def test_all_destinations_stand_in_one_table_and_three_forms():
    _, client = ask(CRM, replace(LAKE, state="parked", words="It refuses our credentials."))
    page = client.get("/destinations")
    assert "1 of 2 destinations needs a look" in page.text and "It refuses our credentials." in page.text
    assert "1,234" in page.text and 'href="/destinations/crm"' in page.text
    first = client.get("/destinations.json").json()[0]
    assert (first["name"], first["lag_events"], first["success_percent"], first["budget_percent"]) == (
        "crm",
        1234,
        97.5,
        24.7,
    )
    rows = list(csv.DictReader(io.StringIO(client.get("/destinations.csv").text)))
    assert [row["state"] for row in rows] == ["running", "parked"]


def test_without_destinations_it_says_what_to_write():
    _, client = ask()
    assert "customhouse reload" in client.get("/destinations").text
    _, client = ask(CRM)
    assert "1 destination takes what is sent there" in client.get("/destinations").text


def test_one_destination_tells_figures_answers_and_budget():
    _, client = ask(CRM)
    text = " ".join(client.get("/destinations/crm").text.split())
    for words in ("1,234", "97.5 %", "24.7 % of 5,000 events or 24 h", "4.5 MB", "401", "It refuses our credentials.",
                  "https://hooks.example.com", "/quarantine?destination=crm"):  # fmt: skip
        assert words in text, words
    assert client.get("/destinations/crm/answers.json").json()[0]["reason"] == "unauthorized"
    assert client.get("/destinations/nobody").status == 404
    assert client.get("/destinations/nobody/answers.csv").status == 404


def test_an_act_says_what_it_does_in_numbers_and_asks_once():
    source, client = ask(CRM, LAKE)
    page = client.get("/destinations/crm").text
    assert "1,234 wait now" in page and "7 are sent once more" in page and "Try at once" not in page
    done = client.post("/destinations/crm/pause")
    assert (done.status, done.headers["location"]) == (303, "/destinations/crm?done=pause")
    assert "nothing is sent until somebody resumes it" in client.get("/destinations/crm?done=pause").text
    client.post("/destinations/crm/replay")
    assert source.acts == [("pause", "crm"), ("look", ""), ("replay", "crm"), ("look", "")]
    assert "cannot be paused" in client.get("/destinations/lake").text


def test_a_paused_one_can_be_resumed_and_says_who_paused_it():
    _, client = ask(replace(CRM, state="paused", paused_at=AT, paused_by="command line"))
    page = " ".join(client.get("/destinations/crm").text.split())
    assert (
        "by the command line" in page and "/destinations/crm/resume" in page and "/destinations/crm/pause" not in page
    )


def test_what_is_not_proven_or_not_known_is_not_done():
    source, client = ask(CRM)
    client.get("/destinations")
    assert client.post("/destinations/crm/pause", proof=False).status == 403
    assert client.post("/destinations/crm/pause", origin="http://evil.example").status == 403
    assert client.post("/destinations/crm/explode").status == 404
    assert client.post("/destinations/nobody/pause").status == 404
    assert client.get("/destinations/crm/pause").status == 405
    assert source.acts == []


def test_an_act_that_fails_is_told_with_the_next_step():
    _, client = ask(CRM, ok=False)
    failed = client.post("/destinations/crm/pause")
    assert failed.status == 503 and "the disk is full" in failed.text and "customhouse doctor" in failed.text


def test_names_are_text_in_addresses_and_on_the_page():
    _, client = ask(replace(CRM, name="a&b"))
    assert "/destinations/a%26b" in client.get("/destinations").text
    assert client.get("/destinations/a%26b").status == 404 or "a&amp;b" in client.get("/destinations/a&b").text


class Board:
    def __init__(self, **changes):
        quiet = AlarmsShown(
            alarms=[], looked_at=AT, watching=True, enabled=True, webhook=True, failures=0, answer="", answered_at=None,
            waiting=0, dropped=0,
        )  # fmt: skip
        self._shown = replace(quiet, **changes)

    def shown(self):
        return self._shown


def alarms(**changes):
    return Client(lambda desk: alarms_page(desk, Board(**changes)))


PARKED = AlarmLine(
    severity="critical", alarm="lane_parked", subject="crm", since=AT, told="crm refuses us.", mend="reload"
)


def test_standing_alarms_are_told_with_what_to_do():
    client = alarms(alarms=[PARKED])
    text = client.get("/alarms").text
    assert "1 alarm stands" in text and ", critical." in text and "crm refuses us." in text
    assert 'href="/destinations/crm"' in text
    assert client.get("/alarms.json").json() == [
        {"severity": "critical", "alarm": "lane_parked", "subject": "crm", "since": AT, "told": "crm refuses us.", "mend": "reload"}
    ]  # fmt: skip
    assert client.get("/alarms.csv").text.startswith("severity,alarm,subject,since,told,mend\n")
    assert {row["alarm"] for row in client.get("/alarms/kinds.json").json()} == set(KINDS)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "No alarm stands"),
        ({"enabled": False}, "Nothing is watched"),
        ({"watching": False}, "Nobody is watching"),
        ({"webhook": False}, "Alarms are posted nowhere"),
        ({"failures": 2, "answer": "it answered 403", "waiting": 4}, "The webhook failed 2 times in a row"),
        ({"answered_at": AT, "answer": "it answered 200"}, "The webhook took the last notice"),
        ({"dropped": 3}, "3 notices were given up"),
    ],
)
def test_how_the_telling_fares_is_told(changes, words):
    assert words in alarms(**changes).get("/alarms").text
