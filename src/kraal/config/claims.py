"""Which pool has which address, so that no two get the same one in whatever spelling.

Only what must collide counts.  `::` and an IPv4 address do or do not, as the system is set up
(net.ipv6.bindv6only), and what a host name stands for is known when it is resolved: those two are
left to the moment of listening.
"""

from kraal.config.address import Address, UnixAddress

_ANY = {4: "0.0.0.0", 6: "::", 0: ""}


class Claims:
    """The addresses that were claimed so far."""

    def __init__(self) -> None:
        # Beside each address stands, under a name that no host has, who claimed its port first.
        self._owners: dict[tuple[str, str], str] = {}

    def claim(self, address: Address, pool: str) -> str:
        """Give the pool that has the address: this one, or the one that claimed it before."""
        host, port = _place(address)
        if not port:
            return self._owners.setdefault((host, port), pool)
        family = _family(host)
        anywhere = (f"*{family}", port)
        clashes = anywhere if host == _ANY[family] else (_ANY[family], port)
        for key in ((host, port), clashes):
            if self._owners.get(key, pool) != pool:
                return self._owners[key]
        self._owners[host, port] = pool
        self._owners.setdefault(anywhere, pool)
        return pool


def _family(host: str) -> int:
    """Tell 4 and 6 from names, which are of no family yet."""
    if ":" in host:
        return 6
    return 4 if host.replace(".", "").isdigit() else 0


def _place(address: Address) -> tuple[str, str]:
    """Host and port, or path and nothing, in the one spelling."""
    if isinstance(address, UnixAddress):
        return "/" + "/".join(part for part in address.path.split("/") if part not in ("", ".")), ""
    return _host(address.host or "::"), str(address.port)


def _host(text: str) -> str:
    from ipaddress import IPv6Address, ip_address  # Unix sockets do without

    try:
        address = ip_address(text)
    except ValueError:
        # A name; the final dot only says that it is whole.
        return text.lower().rstrip(".")
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
