import pytest
from loopback import KEY, get, house, on_loop

from customhouse.collector.config import ListenConfig
from customhouse.collector.front import address
from customhouse.collector.front.prefixes import MOST, problems
from customhouse.model.http import Request

FORWARDED = {"x-forwarded-proto": "https", "x-forwarded-host": "www.shop.example"}


def asked(headers, *, proxied=True):
    return Request("GET", "/journal/x", "", {"host": "10.0.0.5:8080", **headers}, b"", "", proxied=proxied)


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({}, "http://10.0.0.5:8080/journal"),
        (FORWARDED, "https://www.shop.example/journal"),
        ({"x-forwarded-proto": "HTTPS, http"}, "https://10.0.0.5:8080/journal"),
        ({"x-forwarded-proto": "gopher"}, "http://10.0.0.5:8080/journal"),
        ({"forwarded": 'for=1.1.1.1;host=evil.example, for=2.2.2.2;Proto=https;host="www.shop.example:8443"'},
         "https://www.shop.example:8443/journal"),
        ({"x-forwarded-host": "evil.example/path?"}, "http://localhost/journal"),
        ({"host": 'x"y'}, "http://localhost/journal"),
        ({"host": ""}, "http://localhost/journal"),
    ],
)  # fmt: skip
def test_a_trusted_proxy_says_how_the_client_came(headers, base):
    assert address.base(asked(headers), "/journal") == base


def test_nobody_else_does():
    assert address.base(asked(FORWARDED, proxied=False), "") == "http://10.0.0.5:8080"
    assert address.scheme(asked({"forwarded": "proto=https"}, proxied=False)) == "http"


@pytest.mark.parametrize(("trusted", "host"), [(("127.0.0.0/8",), "www.shop.example"), (("10.0.0.0/8",), "x")])
def test_the_settings_answer_names_the_public_address(trusted, host):
    async def main():
        async with house(listen=ListenConfig(port=0, trusted_proxies=trusted)) as door:
            headers = [f"{name}: {value}" for name, value in FORWARDED.items()]
            answer = await door.ask(get(f"/v1/projects/{KEY}/settings", *headers))
            return answer.json["integrations"]["Segment.io"]

    said = on_loop(main())
    assert said["apiHost"] == f"{host}/v1"
    assert said["protocol"] == ("https" if host != "x" else "http")


@pytest.mark.parametrize("prefix", ["/journal", "/a/b/c/d", "/_data", "/site.v2", "/V2"])
def test_a_prefix_is_a_plain_path(prefix):
    assert list(problems([prefix], "listen.prefixes")) == []


@pytest.mark.parametrize(
    "prefix",
    ["", "/", "journal", "/journal/", "//journal", "/jour nal", "/a/../b", "/.well-known", "/a%2Fb", "/ä", "/a/b/c/d/e",
     "/v1", "/V1/x", "/sdk", "/beacon", "/sourceConfig", "/health", "/j?x", "/j#x", "/{}"],
)  # fmt: skip
def test_another_prefix_is_a_problem_with_a_hint(prefix):
    (found,) = problems([prefix], "listen.prefixes")
    assert found.place == "listen.prefixes[0]"
    assert found.message
    assert found.hint


def test_prefixes_are_few_and_different():
    (twice,) = problems(["/a", "/b", "/a"], "p")
    assert (twice.place, "twice" in twice.message) == ("p[2]", True)
    (many,) = problems([f"/p{nth}" for nth in range(MOST + 5)], "p")
    assert many.place == f"p[{MOST}]"
