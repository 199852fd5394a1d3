"""listen.allowed_clients: addresses, networks, and what is neither."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraal.config.clients import Clients, parse_clients


@pytest.mark.parametrize(
    ("client", "address", "prefix"),
    [
        ("127.0.0.1", "00000000000000000000ffff7f000001", 128),
        ("10.0.0.0/8", "00000000000000000000ffff0a000000", 104),
        ("10.1.2.3/8", "00000000000000000000ffff0a000000", 104),
        ("10.0.0.0/255.0.0.0", "00000000000000000000ffff0a000000", 104),
        ("::1", "00000000000000000000000000000001", 128),
        ("::ffff:127.0.0.1", "00000000000000000000ffff7f000001", 128),
        ("fe80::/10", "fe800000000000000000000000000000", 10),
        ("0.0.0.0/0", "00000000000000000000ffff00000000", 96),
        ("::/0", "00000000000000000000000000000000", 0),
    ],
)
def test_client_is_a_network_of_ipv6(client: str, address: str, prefix: int) -> None:
    assert parse_clients(client) == Clients(((address, prefix),))


@pytest.mark.parametrize(
    "text", ["xxx", "localhost", "127.0.0", "127.0.0.1:80", "[::1]", "10.0.0.0/33", "1", "::g", "127.0.0.1/a"]
)
def test_what_is_no_address_is_told_and_lets_nobody_in(text: str) -> None:
    clients = parse_clients(text)

    assert clients.networks == ()
    assert clients.complaints == (
        f"Wrong IP address '{text}' in listen.allowed_clients",
        "There are no allowed addresses",
    )


def test_empty_list_lets_nobody_in() -> None:
    assert parse_clients("").complaints == (
        "Wrong IP address '' in listen.allowed_clients",
        "There are no allowed addresses",
    )


def test_good_addresses_count_beside_wrong_ones() -> None:
    clients = parse_clients("xxx, 127.0.0.1 ,,::1")

    assert [prefix for _address, prefix in clients.networks] == [128, 128]
    assert clients.complaints == (
        "Wrong IP address 'xxx' in listen.allowed_clients",
        "Wrong IP address '' in listen.allowed_clients",
    )


@given(st.text() | st.text("0123456789abcdef.:/,% "))
def test_no_list_raises(text: str) -> None:
    clients = parse_clients(text)

    assert len(clients.networks) + len(clients.wrong) == text.count(",") + 1
    assert all(len(address) == 32 and 0 <= prefix <= 128 for address, prefix in clients.networks)
