import pytest

from customhouse.collector import facts as facts_room
from customhouse.collector.facts import Facts, scrub, scrub_url
from customhouse.model.http import Request


def request(query="", peer="192.0.2.1", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("POST", "/v1/t", query, named, b"", peer)


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("", ""),
        ("a=1&b=2", "a=1&b=2"),
        ("writeKey=x&a=1", "a=1"),
        ("WRITEKEY=x", ""),
        ("write%4Bey=x&a=1", "a=1"),
        ("a=1;token=x", "a=1"),
        ("+token=x", "+token=x"),
        ("token&password=&a", "a"),
    ],
)
def test_secrets_are_cut_out_of_queries(query, kept):
    assert scrub(query) == kept


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("", ""),
        ("https://shop.example/p", "https://shop.example/p"),
        ("https://shop.example/p?code=x#token=y", "https://shop.example/p"),
        ("https://me:pw@shop.example?a=1", "https://shop.example?a=1"),
        ("/p?a=1&key=x", "/p?a=1"),
        ("$direct", "$direct"),
    ],
)
def test_secrets_are_cut_out_of_urls(url, kept):
    assert scrub_url(url) == kept


def test_everything_is_bounded():
    long = "x" * 100_000
    facts = Facts().of(
        request(
            query=long,
            user_agent=long,
            referer=long,
            origin=long,
            accept_language=long,
            host=long,
            cookie=f"_fbp={long}",
            sec_ch_ua=long,
        )
    )
    assert facts.user_agent == "x" * 1024
    assert len(repr(facts)) < 10_000


def test_the_same_headers_give_the_same_facts_and_others_do_not(monkeypatch):
    monkeypatch.setattr(facts_room, "_REMEMBERED", 2)
    facts = Facts()
    first = facts.of(request(user_agent="a"))
    assert facts.of(request(user_agent="a")) is first
    assert facts.of(request(user_agent="a", peer="198.51.100.1")).ip == "198.51.100.0"
    for nth in range(5):
        assert facts.of(request(user_agent=str(nth))).user_agent == str(nth)
    assert facts.of(request(user_agent="a")) == first


@pytest.mark.parametrize(
    ("trace", "kept"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", True),
        ("00-00000000000000000000000000000000-b7ad6b7169203331-01", False),
        ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", False),
        ("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", False),
        ("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", False),
        ("nonsense", False),
    ],
)
def test_only_well_formed_traces_are_kept(trace, kept):
    facts = Facts()
    plain = facts.of(request(user_agent="a"))
    traced = facts.of(request(user_agent="a", traceparent=trace))
    assert traced.traceparent == (trace if kept else "")
    assert traced.user_agent == "a"
    assert plain.traceparent == ""


def test_no_statement_is_not_a_statement():
    assert Facts().of(request()).gpc is False
    assert Facts().of(request(sec_gpc="0")).gpc is False
    assert Facts().of(request(sec_gpc="1")).gpc is True
