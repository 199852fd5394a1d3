"""One address for two pools, in whatever spelling."""

import pytest

from kraal.config.address import parse_address
from kraal.config.claims import Claims


def owners(*addresses: str) -> list[str]:
    claims = Claims()
    return [claims.claim(parse_address(text), f"pool {index}") for index, text in enumerate(addresses)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("127.0.0.1:9000", "127.0.0.1:9000"),
        ("9000", "09000"),
        ("9000", "[::]:9000"),
        ("9000", "[0:0:0:0:0:0:0:0]:9000"),
        ("[::1]:9000", "[0:0::1]:9000"),
        ("[::1]:9000", "9000"),
        ("127.0.0.1:9000", "0.0.0.0:9000"),
        ("127.0.0.1:9000", "[::ffff:127.0.0.1]:9000"),
        ("localhost:9000", "LOCALHOST.:9000"),
        ("/run/fpm.sock", "/run//fpm.sock"),
        ("/run/fpm.sock", "/run/./fpm.sock"),
    ],
)
def test_two_pools_cannot_have_it(one: str, other: str) -> None:
    assert owners(one, other) == ["pool 0", "pool 0"]
    assert owners(other, one) == ["pool 0", "pool 0"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("127.0.0.1:9000", "127.0.0.1:9001"),
        ("127.0.0.1:9000", "127.0.0.2:9000"),
        ("127.0.0.1:9000", "[::1]:9000"),
        ("0.0.0.0:9000", "0.0.0.0:9001"),
        ("/run/a.sock", "/run/b.sock"),
        ("/run/a.sock", "/run/x/../a.sock"),  # x may be a link
        # Left to the system, which may have been set up either way, and to the resolver:
        ("9000", "127.0.0.1:9000"),
        ("localhost:9000", "127.0.0.1:9000"),
        ("localhost:9000", "0.0.0.0:9000"),
    ],
)
def test_two_pools_may_have_both(one: str, other: str) -> None:
    assert owners(one, other) == ["pool 0", "pool 1"]
    assert owners(other, one) == ["pool 0", "pool 1"]


def test_pool_may_claim_an_address_again() -> None:
    claims = Claims()
    address = parse_address("9000")

    assert [claims.claim(address, "www"), claims.claim(address, "www")] == ["www", "www"]


def test_claim_that_was_refused_leaves_no_trace() -> None:
    claims = Claims()
    claims.claim(parse_address("0.0.0.0:9000"), "first")
    claims.claim(parse_address("127.0.0.1:9000"), "second")

    assert claims.claim(parse_address("127.0.0.1:9000"), "first") == "first"
