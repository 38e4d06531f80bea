"""
Cases of single destinations, to be read: `why.txt` says the point, `events.json` the configuration and the events,
`requests.http` what is sent (JSON laid out for reading), `responses.http` the answers, `receipts.json` what they mean.

An event says only what differs from the usual one of `customhouse.testing.builders`. Requests and answers are separated
by `###`. Running this file as a program writes the requests and receipts anew, for review.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from customhouse.destinations.webhook import Webhook, WebhookConfig
from customhouse.model.contracts import Destination, Parcel
from customhouse.model.envelope import RequestFacts
from customhouse.model.http import Response
from customhouse.model.outcome import Receipt
from customhouse.model.secret import Secret
from customhouse.settings import decode
from customhouse.testing.builders import RECEIVED_AT, event

FOLDER = Path(__file__).parent / "destinations"
CASES = sorted(path.parent for path in FOLDER.glob("*/*/events.json"))
NOW = RECEIVED_AT + 60_000_000
BREAK = "\n###\n"


def webhook(config: dict[str, Any]) -> Destination:
    configuration, found = decode(WebhookConfig, config, "config")
    assert found == []
    secret, key = configuration.secret, configuration.write_key
    return Webhook(
        "example",
        configuration,
        secret=Secret("the secret") if secret else None,
        write_key=Secret("the write key") if key else None,
        headers={name: Secret(value[:]) for name, value in configuration.headers.items()},
    )


DESTINATIONS = {"webhook": webhook}


def load(case: Path) -> tuple[Destination, list[Parcel]]:
    given = json.loads((case / "events.json").read_text())
    events = []
    for position, changes in enumerate(given["events"], 1):
        if "request" in changes:
            changes["request"] = RequestFacts(**changes["request"])
        if repeat := changes.pop("padding", 0):
            changes["properties"] = {"text": "x" * repeat}
        events.append(event(**{"position": position, **changes}))
    destination = DESTINATIONS[case.parent.name](given["config"])
    return destination, list(destination.pack(events, NOW))


def laid_out(body: bytes) -> str:
    text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    return text if len(text) < 10_000 else f"({len(body)} bytes)"


def request_text(parcel: Parcel) -> str:
    headers = "\n".join(f"{name}: {value}" for name, value in parcel.headers)
    return f"{parcel.method} {parcel.url}\n{headers}\n\n{laid_out(parcel.body)}\n"


def responses(case: Path) -> list[Response]:
    found = []
    for text in (case / "responses.http").read_text().split(BREAK):
        head, _, body = text.partition("\n\n")
        status, *headers = head.splitlines()
        fields = dict(line.split(": ", 1) for line in headers)
        found.append(Response(int(status), {name.lower(): value for name, value in fields.items()}, body.encode()))
    return found


def receipt_lines(receipts: list[Receipt]) -> list[dict[str, Any]]:
    return [
        {"receipt": type(each).__name__, **{name: getattr(each, name) for name in each.__struct_fields__}}
        for each in receipts
    ]


def made(case: Path) -> tuple[str, str]:
    destination, parcels = load(case)
    requests = BREAK.join(request_text(parcel) for parcel in parcels)
    answers = zip(parcels, responses(case), strict=True)
    receipts = [receipt_lines(destination.weigh(parcel, answer)) for parcel, answer in answers]
    return requests, json.dumps(receipts, indent=2, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.name}")
def test_destination(case: Path) -> None:
    assert (case / "why.txt").read_text().strip()
    requests, receipts = made(case)
    assert requests == (case / "requests.http").read_text()
    assert receipts == (case / "receipts.json").read_text()


def test_every_destination_has_cases() -> None:
    assert {case.parent.name for case in CASES} == set(DESTINATIONS)


if __name__ == "__main__":
    for each in CASES:
        texts = made(each)
        (each / "requests.http").write_text(texts[0])
        (each / "receipts.json").write_text(texts[1])
