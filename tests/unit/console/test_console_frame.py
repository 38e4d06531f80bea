"""The frame of the console: who is let in, what is refused, and that nothing foreign is loaded or run."""

import asyncio
import hashlib
import re
import socket
import tomllib
from importlib.resources import files

import pytest
from desks import Client
from starlette.responses import PlainTextResponse

from customhouse.console.access import Access
from customhouse.console.config import ConsoleConfig, problems
from customhouse.console.desk import Page
from customhouse.console.guard import host_name
from customhouse.console.serve import serve
from customhouse.console.tables import Column, Table, serve_table
from customhouse.model.errors import Misconfigured, Unavailable
from customhouse.model.secret import Secret
from customhouse.settings import decode, undescribed

STATIC = files("customhouse.console") / "static"


def page(desk):
    async def show(request):
        return desk.page(request, "error.html", "Hello", message="<script>alert(1)</script>")

    async def broken(_request):
        raise ValueError("ada@example.com")

    async def away(_request):
        raise Unavailable("the books do not answer")

    async def change(_request, form):
        return PlainTextResponse(f"changed {form['what']}")

    routes = [desk.get("/hello", show), desk.get("/broken", broken), desk.get("/away", away), desk.post("/do", change)]
    return Page(name="Hello", path="/hello", routes=routes)


@pytest.mark.parametrize("path", ["/hello", "/none", "/metrics", "/health", "/login", "/static/app.css"])
def test_every_answer_is_hardened(path):
    got = Client(page).get(path)
    policy = got.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["cache-control"] == "no-store"


def test_what_a_client_sent_is_text_and_never_markup():
    got = Client(page).get("/hello")
    assert "<script>alert(1)" not in got.text and "&lt;script&gt;alert(1)" in got.text


def test_pages_hold_no_code_of_their_own_and_load_nothing_from_elsewhere():
    for template in (files("customhouse.console") / "templates").rglob("*.html"):
        text = template.read_text()
        assert not re.search(r"\son[a-z]+\s*=|style\s*=|javascript:|<style", text), template
        assert not re.search(r"<script(?![^>]*\ssrc=)", text), template
        assert not re.search(r"""(src|href)=["']https?:""", text), template


def test_what_others_wrote_is_what_was_written_down_and_licensed():
    listed = tomllib.loads((STATIC / "vendor/vendor.toml").read_text())["file"]
    for entry in listed:
        assert hashlib.sha256((STATIC / "vendor" / entry["name"]).read_bytes()).hexdigest() == entry["sha256"]
        assert entry["licence"] and (STATIC / "vendor" / entry["licence_file"]).read_text()
    there = {path.name for path in (STATIC / "vendor").iterdir()}
    assert there == {entry[key] for entry in listed for key in ("name", "licence_file")} | {"vendor.toml"}


def test_all_that_a_browser_loads_is_small():
    assert sum(path.stat().st_size for path in STATIC.rglob("*") if path.suffix in (".js", ".css", ".svg")) < 200_000


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:8081", "127.0.0.1.evil.example", "[::1]x"])
def test_foreign_host_names_are_refused(host):
    assert Client(page).get("/hello", host=host).status == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8081", "127.0.0.1:1", "[::1]:8081", "Tracks.internal:8081"])
def test_own_host_names_are_let_in(host):
    assert Client(page, names=("tracks.Internal",)).get("/hello", host=host).status == 200


def test_a_change_needs_our_origin_and_our_proof():
    client = Client(page)
    assert client.post("/do", {"what": "it"}).text == "changed it"
    assert client.post("/do", {"what": "it"}, origin="http://evil.example").status == 403
    assert client.post("/do", {"what": "it"}, origin=None, sec_fetch_site="cross-site").status == 403
    assert client.post("/do", {"what": "it"}, proof=False).status == 403
    assert client.post("/do", {"what": "it", "_proof": "0" * 64}, proof=False).status == 403


def test_a_proof_of_another_session_is_not_ours():
    stolen = Client(page).proof()
    client = Client(page)
    client.get("/hello")
    client.cookies["customhouse_form"] = "f" * 32
    assert client.post("/do", {"what": "it", "_proof": stolen}, proof=False).status == 403


def test_htmx_sends_the_proof_as_a_header():
    client = Client(page)
    assert client.post("/do", {"what": "it"}, proof=False, x_customhouse_proof=client.proof()).status == 200


def test_a_form_is_bounded():
    assert Client(page).post("/do", {"what": "x" * 1_100_000}).status == 413
    assert Client(page).post("/do", {str(n): "" for n in range(2100)}).status == 400


def test_every_change_goes_through_the_proof():
    client = Client(page)
    unsafe = [route for route in client.desk.pages[0].routes if "POST" in route.methods]
    assert [route.endpoint.__qualname__ for route in unsafe] == ["Desk.post.<locals>.proven"]


def test_nobody_is_let_in_without_the_password():
    client = Client(page, password="open sesame")
    got = client.get("/hello?range=1h")
    assert (got.status, got.headers["location"]) == (303, "/login?to=/hello%3Frange%3D1h")
    assert client.get("/metrics", accept="*/*").status == 401
    assert client.get("/health").json() == {"ok": True, "parts": {}}
    assert "Password" in client.get("/login").text


def test_the_password_lets_in_and_signing_out_ends_it():
    client = Client(page, password="open sesame")
    login = client.get("/login").text
    proof = login.split('X-Customhouse-Proof":"')[1].split('"')[0]
    wrong = client.post("/login", {"password": "please", "_proof": proof}, proof=False)
    assert wrong.status == 403 and "not the password" in wrong.text and "please" not in wrong.text
    got = client.post("/login", {"password": "open sesame", "to": "/hello", "_proof": proof}, proof=False)
    assert (got.status, got.headers["location"]) == (303, "/hello")
    assert "httponly" in got.headers["set-cookie"].lower() and "samesite=strict" in got.headers["set-cookie"].lower()
    assert client.get("/hello").status == 200
    assert client.get("/health").json()["parts"] == {"books": "balanced"}
    client.post("/logout", {"_proof": proof}, proof=False)
    assert client.get("/hello").status == 303


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example", "/\\evil.example", ""])
def test_the_login_leads_nowhere_else(to):
    client = Client(page, password="open sesame")
    proof = client.get("/login").text.split('X-Customhouse-Proof":"')[1].split('"')[0]
    got = client.post("/login", {"password": "open sesame", "to": to, "_proof": proof}, proof=False)
    assert got.headers["location"] == "/"


def test_many_wrong_passwords_have_to_wait():
    now = [1_000_000.0]
    access = Access(b"k", Secret("right"), None, clock=lambda: now[0])
    assert [access.enter("wrong") for _ in range(6)] == [None] * 6
    assert access.enter("right") is None and access.resting() > 0
    now[0] += 61
    assert access.enter("right")


def test_a_session_ends_by_itself_and_cannot_be_made_up():
    now = [1_000_000.0]
    access = Access(b"k", Secret("right"), None, clock=lambda: now[0])
    session = access.enter("right")
    until, _, signature = session.partition(".")
    assert access._valid(session)
    assert not access._valid(f"{int(until) + 1}.{signature}")
    assert not Access(b"k", Secret("other"), None, clock=lambda: now[0])._valid(session)
    now[0] += 13 * 3600
    assert not access._valid(session)


def test_a_token_lets_programs_in():
    client = Client(page, token="scrape-me")
    assert client.get("/metrics", accept="*/*", authorization="Bearer scrape-me").status == 200
    assert client.get("/metrics", accept="*/*", authorization="Bearer scrape-you").status == 401
    assert client.get("/metrics", accept="*/*").status == 401


def test_failures_are_said_in_words_and_quote_nothing():
    client = Client(page)
    got = client.get("/broken")
    assert got.status == 500 and "ada@example.com" not in got.text and "log tells" in got.text
    got = client.get("/away")
    assert (got.status, got.headers["retry-after"]) == (503, "5")
    assert "customhouse doctor" in got.text
    assert client.get("/none", accept="application/json").json()["error"].startswith("There is no such page")
    assert client.get("/do").status == 405


def test_what_browsers_keep_has_a_fingerprint():
    client = Client(page)
    address = re.search(r'href="(/static/app.css\?v=[0-9a-f]{12})"', client.get("/hello").text).group(1)
    got = client.get(address)
    assert (got.status, got.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")


def test_metrics_and_health():
    got = Client().get("/metrics")
    assert (got.body, got.headers["content-type"]) == (
        b"customhouse_unaccounted_events 0\n", "text/plain; version=0.0.4; charset=utf-8",
    )  # fmt: skip
    assert Client(health=False).get("/health").status == 503


def test_a_table_is_the_same_rows_as_json_and_as_csv():
    columns = (Column("event", "event"), Column("n", "events", "number"))
    rows = [{"event": "=cmd()", "n": 1204331, "href": "/x", "tones": {"n": "bad"}}]
    table = Table(columns=columns, rows=rows, path="/things")
    assert serve_table(table, "json").body == b'[{"event":"=cmd()","n":1204331}]'
    assert serve_table(table, "csv").body == b"event,n\n'=cmd(),1204331\n"
    assert 'filename="things.csv"' in serve_table(table, "csv").headers["content-disposition"]


def test_beyond_this_machine_only_with_a_password_or_a_token():
    assert [p.place for p in problems(ConsoleConfig(host="0.0.0.0"), "console")] == ["console.host"]
    assert not list(problems(ConsoleConfig(host="0.0.0.0", password="env:P"), "console"))
    assert not list(problems(ConsoleConfig(host="::", token="env:T"), "console"))
    assert all(ConsoleConfig(host=host).local for host in ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"))
    assert not any(ConsoleConfig(host=host).local for host in ("0.0.0.0", "::", "10.0.0.1", "tracks.internal"))


def test_the_configuration_is_described_and_decoded():
    assert undescribed(ConsoleConfig) == []
    assert decode(ConsoleConfig, {"port": 9000}, "c.yaml") == (ConsoleConfig(port=9000), [])
    assert len(decode(ConsoleConfig, {"port": 70000, "host": ""}, "c.yaml")[1]) == 2


def test_a_taken_port_is_a_problem_of_the_configuration():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = ConsoleConfig(port=taken.getsockname()[1])
        with pytest.raises(Misconfigured, match="cannot listen on"):
            asyncio.run(serve(config, Client(page).app, asyncio.Event(), lambda _port: None))


def test_it_serves_over_a_socket_until_told_to_stop():
    async def run():
        stop, port = asyncio.Event(), asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(serve(ConsoleConfig(port=0), Client(page).app, stop, port.set_result))
        reader, writer = await asyncio.open_connection("127.0.0.1", await port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        stop.set()
        await serving
        return answer

    answer = asyncio.run(run())
    assert answer.startswith(b"HTTP/1.1 200") and b"server: customhouse" in answer.lower()


def test_names_lose_their_port():
    assert [host_name(h) for h in ("a:1", "A.", "[::1]:8081", "[::1]", "")] == ["a", "a", "[::1]", "[::1]", ""]
