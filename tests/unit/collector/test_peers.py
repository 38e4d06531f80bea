import pytest

from customhouse.collector.peers import Proxies, parse, truncate
from customhouse.model.errors import Misconfigured


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1:4711 ", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ('"[2001:db8::1]:4711"', "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("unknown", None),
        ("_hidden", None),
        ("", None),
        ("192.0.2.256", None),
    ],
)
def test_addresses_are_read_as_headers_write_them(text, address):
    assert (str(parse(text)) if parse(text) else None) == address


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("192.0.2.129", "192.0.2.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("::ffff:192.0.2.129", "192.0.2.0"),
        ("", ""),
        ("nonsense", ""),
    ],
)
def test_addresses_are_cut_before_they_are_kept(text, kept):
    assert truncate(text) == kept


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        ("203.0.113.9", {"x-forwarded-for": "1.1.1.1"}, "203.0.113.9"),
        ("10.0.0.1", {}, "10.0.0.1"),
        ("10.0.0.1", {"x-forwarded-for": "1.1.1.1"}, "1.1.1.1"),
        ("10.0.0.1", {"x-forwarded-for": "6.6.6.6, 1.1.1.1"}, "1.1.1.1"),
        ("10.0.0.1", {"x-forwarded-for": "6.6.6.6, 1.1.1.1, 10.0.0.2"}, "1.1.1.1"),
        ("10.0.0.1", {"x-forwarded-for": "10.0.0.3, 10.0.0.2"}, "10.0.0.3"),
        ("10.0.0.1", {"x-forwarded-for": "1.1.1.1, garbage"}, ""),
        ("10.0.0.1", {"x-forwarded-for": "garbage, 1.1.1.1"}, "1.1.1.1"),
        ("10.0.0.1", {"forwarded": 'for=6.6.6.6, For="[2001:db8::7]:80";proto=https;by=10.0.0.2'}, "2001:db8::7"),
        ("10.0.0.1", {"forwarded": "proto=https"}, ""),
        ("10.0.0.1", {"forwarded": "for=_hidden"}, ""),
        ("10.0.0.1", {"x-forwarded-for": "1.1.1.1", "forwarded": "for=2.2.2.2"}, "1.1.1.1"),
        ("", {"x-forwarded-for": "1.1.1.1"}, ""),
    ],
)
def test_forwarding_headers_are_believed_as_far_as_trusted_proxies_wrote_them(peer, headers, client):
    assert Proxies(["10.0.0.0/8", "fd00::/8"]).client(peer, headers) == client


def test_only_the_named_header_is_read():
    both = {"x-forwarded-for": "1.1.1.1", "forwarded": "for=2.2.2.2"}
    assert Proxies(["10.0.0.0/8"], "forwarded").client("10.0.0.1", both) == "2.2.2.2"
    assert Proxies(["10.0.0.0/8"], "x-forwarded-for").client("10.0.0.1", {"forwarded": "for=2.2.2.2"}) == "10.0.0.1"


def test_all_wrong_networks_are_named_at_once():
    with pytest.raises(Misconfigured) as refused:
        Proxies(["10.0.0.0/8", "here", "there"])
    assert len(refused.value.problems) == 2
    assert not Proxies([])
