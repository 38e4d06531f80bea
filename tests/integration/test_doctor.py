"""The doctor on a house that runs, one that suffers, and one that does not run: every finding with what mends it."""

import json

import pytest
from house import House
from knock import request, send
from lying import LyingServer


@pytest.fixture
def hook():
    with LyingServer() as server:
        yield server


def shop(folder, hook):
    crm = {"type": "webhook", "url": f"{hook.url}/in", "linger_seconds": 0.05, "retry_base_seconds": 0.05}
    return House(
        folder,
        destinations={"lake": {"type": "lake", "flush_seconds": 0.2}, "crm": crm, "erp": crm},
        routes=[{"to": ["lake", "crm", "erp"]}],
        alarms={"every_seconds": 0.5, "clear_seconds": 0.5, "quarantine_events": 5},
    )


def verdicts(findings, name):
    return {(finding["verdict"], finding["told"]) for finding in findings if finding["name"] == name}


def standing(house):
    return {alarm["alarm"] for alarm in request(house.console_url, "GET", "/alarms.json").json()}


def lag(house, name):
    return json.loads((house.data / "run" / "lanes.json").read_bytes())["lanes"][name]["lag_events"]


def test_a_house_that_suffers_is_told_with_what_mends_it(tmp_path, hook):
    hook.mode = "401"
    with shop(tmp_path / "house", hook) as house:
        house.plan("seen", {"event": "Seen", "version": "1.0.0", "owner": "t", "description": "d",
                            "properties": {"n": {"type": "integer"}}, "required": ["n"]})  # fmt: skip
        house.cli_json("reload")
        house.cli_json("destinations", "pause", "erp")
        events = [{"type": "track", "event": "Seen", "userId": "u", "messageId": f"m{n}"} for n in range(8)]
        good = {"type": "track", "event": "Seen", "userId": "u", "messageId": "good", "properties": {"n": 1}}
        send(house.url, {"batch": [*events, good]}, "/v1/batch")
        house.settled(acknowledged=9, ignore=("owed:crm", "owed:erp"))
        house.wait_until(lambda: standing(house) == {"lane_parked", "quarantine_burst"}, 30, "both alarms stand")
        waits = "erp is paused by the command line; 1 event waits for it"
        house.wait_until(lambda: lag(house, "erp") == 1, 30, "what waits is told")
        house.write(name="changed")

        findings = house.cli_json("doctor", codes=(1,))
        assert all(finding["mend"] for finding in findings if finding["verdict"] != "ok")
        problems = {finding["name"] for finding in findings if finding["verdict"] == "problem"}
        assert problems == {"alarm"}, findings
        (alarm,) = [finding for finding in findings if finding["verdict"] == "problem"]
        assert "lane_parked crm" in alarm["told"] and "customhouse reload" in alarm["mend"]
        assert verdicts(findings, "in force") == {
            ("warning", "the configuration has changed since configuration 2 was accepted")
        }
        ((verdict, told),) = verdicts(findings, "quarantine")
        assert verdict == "warning" and "8 of 9 events" in told
        assert all(verdict == "ok" for verdict, _ in verdicts(findings, "reach crm") | verdicts(findings, "formats"))
        assert {verdict for verdict, _ in verdicts(findings, "release")} == {"ok"}
        for kind in ("collector", "pipeline", "delivery", "console"):
            assert {verdict for verdict, _ in verdicts(findings, kind)} == {"ok"}

        people = house.cli("doctor", "--offline")
        assert people.returncode == 1 and "to be mended" in people.stdout and "→ customhouse reload" in people.stdout
        assert "reach crm" not in people.stdout and waits in people.stdout
        hook.mode = "ok"
        house.cli_json("reload")
        house.cli_json("destinations", "resume", "erp")
        house.settled()
        house.wait_until(lambda: standing(house) == {"quarantine_burst"}, 30, "the alarm has ended")
        findings = house.cli_json("doctor")
        assert {finding["verdict"] for finding in findings} <= {"ok", "warning"}


def test_a_file_of_a_later_version_must_be_mended(tmp_path, hook):
    house = shop(tmp_path / "house", hook)
    with house:
        pass
    identity = house.data / "identity.json"
    identity.write_text(
        identity.read_text().replace('"format": 1', '"format": 99').replace('"format":1', '"format":99')
    )
    findings = house.cli_json("doctor", "--offline", codes=(1,))
    ((verdict, told),) = verdicts(findings, "formats")
    assert verdict == "problem" and "identity.json" in told and "99" in told
