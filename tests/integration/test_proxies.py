"""
The recipes for nginx and Caddy, run as they stand in front of a real house.

Events come through the site's own path, answers name the site's own address, and only the proxy is believed.
"""

import base64
import gzip
import json
import urllib.error
import urllib.request
from http.client import HTTPConnection

import pytest
from fronts import HOST, PROGRAMS, in_front, listen
from house import KEY, House

BASIC = {"Authorization": "Basic " + base64.b64encode(f"{KEY}:".encode()).decode()}
PAGE = {"Origin": f"https://{HOST}", "Sec-Fetch-Site": "same-origin"}
LIAR = "203.0.113.77"
FORGED = {
    "X-Forwarded-For": LIAR,
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "gopher",
    "Forwarded": f"for={LIAR};host=evil.example;proto=http",
}
FLOOR = {"free_disk_bytes": 1 << 60}
"""More free disk than there is: the door answers 503."""


@pytest.fixture(scope="module", params=sorted(PROGRAMS))
def behind(request, tmp_path_factory):
    """Give a house behind a proxy, both as the recipe has them."""
    folder = tmp_path_factory.mktemp(request.param)
    options = listen(request.param)
    assert (options["host"], options["prefixes"]) == ("127.0.0.1", ["/journal"])
    with House(folder / "house", listen=options | {"cookie": {"enabled": True}}) as house:
        script = folder / "sdk.js"
        script.write_text("var analytics = 'an SDK';\n" * 200)
        house.added = house.cli_json("sdk", "add", str(script), "--name", "analytics.js")
        assert house.cli("reload").returncode == 0
        with in_front(request.param, folder / "front", house) as front:
            yield house, front


def event(name, **more):
    return {"type": "track", "event": name, "anonymousId": "anna", "messageId": name, **more}


def row(house, message_id):
    query = f"select event, ip, anonymous_id from events where message_id = '{message_id}'"
    (found,) = house.wait_until(lambda: house.sql(query), 30, f"{message_id} in the lake")
    return found


def test_events_come_through_the_sites_own_path(behind):
    house, front = behind
    status, headers, body = front.ask("POST", "/journal/v1/t", json.dumps(event("single")), BASIC | PAGE)
    assert (status, json.loads(body)) == (200, {"success": True})
    assert headers["access-control-allow-origin"] == PAGE["Origin"]
    assert headers["set-cookie"].startswith("ch_anon=anna; ")
    assert headers["set-cookie"].endswith("; Secure"), "the client came by https"
    packed = gzip.compress(json.dumps({"batch": [event("packed")]}).encode())
    status, _, body = front.ask("POST", "/journal/v1/batch", packed, BASIC | {"Content-Encoding": "gzip"})
    assert (status, json.loads(body)) == (200, {"success": True})
    status, _, body = front.ask("POST", f"/journal/beacon/v1/batch?writeKey={KEY}", json.dumps({"batch": [event("b")]}))
    assert (status, body) == (200, b"OK")
    assert [row(house, name)["event"] for name in ("single", "packed", "b")] == ["single", "packed", "b"]
    status, _, _ = front.ask("OPTIONS", "/journal/v1/t", headers=PAGE | {"Access-Control-Request-Method": "POST"})
    assert status == 200


def test_the_settings_answer_names_the_public_address_whatever_the_client_says(behind):
    _, front = behind
    for forged in ({}, FORGED):
        status, _, body = front.ask("GET", f"/journal/v1/projects/{KEY}/settings", headers=forged)
        assert status == 200
        said = json.loads(body)["integrations"]["Segment.io"]
        assert (said["apiHost"], said["protocol"]) == (f"{HOST}:{front.port}/journal/v1", "https")
    status, _, body = front.ask("GET", f"/journal/sourceConfig/?writeKey={KEY}", headers=BASIC)
    assert (status, json.loads(body)["source"]["enabled"]) == (200, True)


def test_the_clients_address_is_believed_only_from_the_proxy(behind):
    house, front = behind
    status, _, _ = front.ask("POST", "/journal/v1/t", json.dumps(event("by-proxy")), BASIC | FORGED, source="127.0.5.9")
    assert status == 200
    assert row(house, "by-proxy")["ip"] == "127.0.5.0"
    straight = HTTPConnection(house.url.removeprefix("http://"), timeout=20, source_address=("127.0.5.9", 0))
    straight.request("POST", "/v1/t", json.dumps(event("straight")), BASIC | FORGED | PAGE)
    answer = straight.getresponse()
    assert (answer.status, "Secure" in answer.getheader("set-cookie")) == (200, False)
    answer.read()
    straight.request("GET", f"/v1/projects/{KEY}/settings", headers=FORGED)
    said = json.loads(straight.getresponse().read())["integrations"]["Segment.io"]
    straight.close()
    assert (said["apiHost"], said["protocol"]) == (f"{house.url.removeprefix('http://')}/v1", "http")
    assert row(house, "straight")["ip"] == "127.0.5.0"


def test_sdk_files_come_as_the_door_made_them(behind):
    house, front = behind
    status, headers, body = front.ask("GET", house.added["src"], headers={"Accept-Encoding": "gzip"})
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert gzip.decompress(body).startswith(b"var analytics")
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    again = {"Accept-Encoding": "gzip", "If-None-Match": headers["etag"]}
    assert front.ask("GET", house.added["src"], headers=again)[0] == 304
    assert front.ask("GET", "/")[2] == b"<h1>The shop</h1>"
    assert front.ask("GET", "/journal/ready")[0] == 404


def test_it_is_the_door_that_says_no(behind):
    house, front = behind
    status, headers, body = front.ask("POST", "/journal/v1/t", b"x" * 4_500_000, BASIC | PAGE)
    assert (status, json.loads(body)["code"]) == (413, "body_too_large")
    status, headers, body = front.ask("POST", "/journal/v1/t", json.dumps(event("x")), PAGE)
    assert (status, json.loads(body)["code"]) == (401, "missing_write_key")
    house.write(limits=FLOOR)
    assert house.cli("reload").returncode == 0
    house.wait_until(lambda: not ready(house), 20, "the door refuses")
    status, headers, body = front.ask("POST", "/journal/v1/t", json.dumps(event("later")), BASIC | PAGE)
    assert (status, json.loads(body)["code"]) == (503, "disk_low")
    assert int(headers["retry-after"]) > 0
    assert "Retry-After" in headers["access-control-expose-headers"]
    house.write(limits={})
    assert house.cli("reload").returncode == 0
    house.wait_until(lambda: ready(house), 20, "the door takes events")
    assert front.ask("POST", "/journal/v1/t", json.dumps(event("later")), BASIC | PAGE)[0] == 200
    assert row(house, "later")["anonymous_id"] == "anna"


def ready(house):
    """Ask whether the door takes events."""
    try:
        with urllib.request.urlopen(f"{house.url}/ready", timeout=5) as answer:
            return answer.status == 200
    except urllib.error.HTTPError:
        return False
