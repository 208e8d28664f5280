"""Which address a request comes from: the peer's, or the right-most forwarded one that no trusted proxy vouches away."""

import ipaddress

import pytest

from app.core.client import Client, read_client
from app.sections import Network

PEER = "10.0.0.1"


def networks(text: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(part) for part in text.split())


def address(trusted: str, *forwarded: str | bytes, peer: str = PEER, headers: dict[str, bytes] | None = None) -> str:
    lines = [(b"x-forwarded-for", line if isinstance(line, bytes) else line.encode()) for line in forwarded]
    more = [(name.replace("_", "-").encode(), value) for name, value in (headers or {}).items()]
    scope = {"type": "http", "client": (peer, 1234), "headers": [*more, *lines]}
    return read_client(scope, networks(trusted), "id").address


@pytest.mark.asvs("V4.1.3", "V15.3.4")
@pytest.mark.parametrize(
    ("trusted", "forwarded", "found"),
    [
        ("", ["1.2.3.4"], PEER),
        ("", [], PEER),
        ("192.168.0.0/16", ["1.2.3.4"], PEER),
        ("10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("10.0.0.0/8", ["1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
        ("10.0.0.0/8", ["6.6.6.6, 1.2.3.4, 10.9.9.9"], "1.2.3.4"),
        ("10.0.0.0/8", ["6.6.6.6", "1.2.3.4", "10.9.9.9"], "1.2.3.4"),
        ("10.0.0.0/8", ["6.6.6.6, 1.2.3.4", "10.9.9.9, 10.8.8.8"], "1.2.3.4"),
        ("10.0.0.1", ["6.6.6.6, 10.9.9.9"], "10.9.9.9"),
        ("10.0.0.0/8", ["10.5.5.5, 10.9.9.9"], "10.5.5.5"),
        ("10.0.0.1", ["1.2.3.4:99"], "1.2.3.4"),
        ("10.0.0.1", ["  1.2.3.4  "], "1.2.3.4"),
        ("10.0.0.1", ["\t6.6.6.6 ,\t1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1", ["[2001:db8::1]"], "2001:db8::1"),
        ("10.0.0.1", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("10.0.0.1", ["2001:0DB8:0:0::0001"], "2001:db8::1"),
        ("10.0.0.1", ["unknown"], PEER),
        ("10.0.0.1", ["6.6.6.6, unknown"], PEER),
        ("10.0.0.1", ["_hidden"], PEER),
        ("10.0.0.1", [""], PEER),
        ("10.0.0.1", [","], PEER),
        ("10.0.0.1", ["1.2.3.4,"], PEER),
        ("10.0.0.1", ["1.2.3"], PEER),
        ("10.0.0.1", ["01.2.3.4"], PEER),
        ("10.0.0.1", ["1.2.3.4.5"], PEER),
        ("10.0.0.1", ["0x01020304"], PEER),
        ("10.0.0.1", ["16909060"], PEER),
        ("10.0.0.1", ["for=1.2.3.4"], PEER),
        ("10.0.0.1", ["evil.example"], PEER),
        ("10.0.0.1", ["[1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", [b"\xff\xfe"], PEER),
        ("10.0.0.1", [b"1.2.3.4\x00"], PEER),
        ("10.0.0.0/8", ["6.6.6.6, x, 10.9.9.9"], "10.9.9.9"),
        ("10.0.0.0/8 192.168.1.1", ["6.6.6.6, 1.2.3.4, 192.168.1.1, 10.1.1.1"], "1.2.3.4"),
    ],
)
def test_the_right_most_address_that_is_not_trusted(trusted: str, forwarded: list[str | bytes], found: str) -> None:
    assert address(trusted, *forwarded) == found


@pytest.mark.parametrize(
    ("peer", "trusted", "found"),
    [
        ("::1", "::1", "1.2.3.4"),
        ("::1", "127.0.0.0/8", "::1"),
        ("127.0.0.1", "127.0.0.0/8 ::1", "1.2.3.4"),
        ("::ffff:10.0.0.1", "10.0.0.1", "1.2.3.4"),
        ("fd00::5", "fd00::/8", "1.2.3.4"),
        ("fd00::5", "10.0.0.0/8", "fd00::5"),
        ("testclient", "10.0.0.0/8", "testclient"),
        ("", "0.0.0.0/0", ""),
    ],
)
def test_the_peer_must_be_trusted_itself(peer: str, trusted: str, found: str) -> None:
    assert address(trusted, "1.2.3.4", peer=peer) == found


def test_a_trusted_proxy_written_in_ipv6_form_is_still_trusted() -> None:
    assert address("10.0.0.0/8", "6.6.6.6, 1.2.3.4, ::ffff:10.2.2.2") == "1.2.3.4"


@pytest.mark.asvs("V4.1.3")
def test_no_other_header_is_believed() -> None:
    others = {"x_real_ip": b"6.6.6.6", "forwarded": b"for=6.6.6.6", "true_client_ip": b"6.6.6.6", "cf_connecting_ip": b"6.6.6.6"}
    assert address("10.0.0.0/8", headers=others) == PEER
    assert address("10.0.0.0/8", "1.2.3.4", headers=others) == "1.2.3.4"


def test_a_huge_header_is_read_without_fuss() -> None:
    assert address("10.0.0.0/8", "6.6.6.6, " * 20_000 + "1.2.3.4") == "1.2.3.4"
    assert address("10.0.0.0/8", *["10.1.1.1"] * 5_000) == "10.1.1.1"


@pytest.mark.parametrize(
    ("one", "other", "same_network", "same_place"),
    [
        ("1.2.3.4", "1.2.3.4", True, True),
        ("1.2.3.4", "1.2.3.5", False, True),
        ("1.2.3.4", "1.2.4.4", False, False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True, True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False, True),
        ("2001:db8:1:2::1", "2001:db8:2:2::1", False, False),
        ("::ffff:1.2.3.4", "1.2.3.4", True, True),
        ("::ffff:1.2.3.4", "::ffff:9.9.9.9", False, False),
        ("fe80::1%eth0", "fe80::1%eth1", True, True),
        ("testclient", "testclient", True, True),
        ("testclient", "", False, False),
    ],
)
def test_limits_count_by_address_and_by_64_of_ipv6(one: str, other: str, *, same_network: bool, same_place: bool) -> None:
    first, second = Client(one, "", ""), Client(other, "", "")
    assert (first.network == second.network) is same_network
    assert (first.neighbourhood == second.neighbourhood) is same_place
