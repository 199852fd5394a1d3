"""Which peers may connect over TCP, where the manager lets them in; native/peer.c decides the same."""

import socket
from collections.abc import Sequence

_MAPPED = bytes(10) + b"\xff\xff"  # how the IPv6 form of an IPv4 address begins


def is_allowed(address: str, networks: Sequence[tuple[str, int]] | None) -> bool:
    """Whether a peer is in one of the networks: hexadecimal IPv6 addresses, and how many bits count."""
    if networks is None:
        return True
    at = _packed(address.partition("%")[0])
    return any(_is_in(at, bytes.fromhex(network), prefix) for network, prefix in networks)


def _packed(address: str) -> bytes:
    if ":" in address:
        return socket.inet_pton(socket.AF_INET6, address)
    return _MAPPED + socket.inet_pton(socket.AF_INET, address)


def _is_in(address: bytes, network: bytes, prefix: int) -> bool:
    # A network of IPv6 (`::/0`) is not meant for IPv4 peers, which only look like its members here.
    if prefix < 96 and address.startswith(_MAPPED):
        return False
    others = 128 - prefix
    return int.from_bytes(address) >> others == int.from_bytes(network) >> others
