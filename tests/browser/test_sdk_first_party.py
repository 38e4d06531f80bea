"""
A shop that loads its SDK from its own site and sends events to it, as `docs/recipes` has it: Chromium, nginx, a house.

Nobody else is asked for anything, and a cookie that scripts cannot reach goes on saying who the browser was.
"""

import pytest
from fronts import in_front, listen
from house import KEY, House
from sdk.site import FILES, LOAD, PAGE, UNLOADS, needs, received, rows_of, serving

FORGET = """() => {
    localStorage.clear()
    sessionStorage.clear()
    for (const each of document.cookie.split("; ")) document.cookie = `${each.split("=")[0]}=; Max-Age=0; Path=/`
    return document.cookie
}"""
NAMELESS = """async ([key, address]) => {
    const event = { event: "Nameless", messageId: "nameless", writeKey: key }
    return (await fetch(`${address}/v1/t`, { method: "POST", body: JSON.stringify(event) })).status
}"""
SCRIPT = """([source, integrity]) => new Promise(done => {
    const script = document.createElement("script")
    Object.assign(script, { src: source, integrity, crossOrigin: "anonymous" })
    script.onload = () => done("loaded")
    script.onerror = () => done("refused")
    document.head.append(script)
})"""


@pytest.fixture(scope="module", params=sorted(FILES))
def shop(request, tmp_path_factory):
    """Give a family, its house, and the site in front of it, whose page loads the SDK by the line we print."""
    needs(request.param)
    folder = tmp_path_factory.mktemp("shop")
    house = House(folder / "house", listen=listen("nginx") | {"cookie": {"enabled": True}})
    told = house.cli_json("sdk", "add", str(FILES[request.param]), "--name", "analytics.js")
    with house, in_front("nginx", folder / "front", house, PAGE.format(scripts=told["html"])) as front:
        yield request.param, house, f"https://127.0.0.1:{front.port}"


def test_a_page_asks_nobody_but_its_own_site_and_is_known_again(shop, open_page):
    family, house, origin = shop
    page = open_page(ignore_https_errors=True)
    asked = []
    page.on("request", lambda request: asked.append(request.url))

    def opened(**options):
        page.goto(f"{origin}/")
        assert page.evaluate(LOAD[family], [KEY, f"{origin}/journal", options])

    def say(name):
        opened()
        with page.expect_response(lambda answer: "/v1/t" in answer.url and answer.request.method == "POST") as answer:
            page.evaluate("name => { window.analytics.track(name) }", name)
        assert answer.value.status == 200
        return next(each for each in page.context.cookies() if each["name"] == "ch_anon")

    cookie = say("Before")
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Lax")
    assert "ch_anon" not in page.evaluate("document.cookie")
    assert page.evaluate(FORGET) == ""
    after = say("After")
    assert after["value"] == cookie["value"]
    assert page.evaluate(NAMELESS, [KEY, f"{origin}/journal"]) == 200
    options, path = UNLOADS[family]
    opened(**options)
    page.evaluate("() => { window.analytics.track('Left') }")
    page.goto(f"{origin}/")
    found = {row["event"]: row["anonymous_id"] for row in rows_of(page, house, "app", 4)}
    assert found["Before"] == found["Nameless"] == cookie["value"]
    assert found["After"] not in (None, cookie["value"]), "what the SDK says of itself is not touched"
    assert found["Left"] == found["After"]
    *_, last = received(house)
    assert (last.facts.path, last.facts.anonymous_id) == (f"/journal{path}", cookie["value"])
    assert {url for url in asked if not url.startswith((f"{origin}/", "data:"))} == set()


@pytest.mark.parametrize("family", sorted(FILES))
def test_a_page_of_another_origin_loads_the_very_file_or_none(family, page, tmp_path):
    needs(family)
    house = House(tmp_path / "house")
    told = house.cli_json("sdk", "add", str(FILES[family]), "--name", "analytics.js")
    with house, serving() as site:
        page.goto(f"{site}/page")
        source = f"{house.url}/sdk/{told['file']}"
        page.watch.forgiven += ["integrity"]
        assert page.evaluate(SCRIPT, [source, "sha384-" + "A" * 64]) == "refused"
        assert page.evaluate(SCRIPT, [source, told["integrity"]]) == "loaded"
        assert page.evaluate("typeof (window.AnalyticsNext ?? window.rudderanalytics)") == "object"
