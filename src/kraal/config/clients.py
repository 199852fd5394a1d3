"""listen.allowed_clients: which peers may connect over TCP.

php-fpm knows literal addresses; networks (`10.0.0.0/8`) and spaces around the commas are kraal's own.
"""

from kraal.fields import Frozen

WRONG = "Wrong IP address '{}' in listen.allowed_clients"
NOBODY = "There are no allowed addresses"


class Clients(Frozen):
    """A list that was written: without networks nobody may connect."""

    networks: tuple[tuple[str, int], ...]  # hexadecimal IPv6 address, IPv4 as ::ffff:a.b.c.d; prefix length
    wrong: tuple[str, ...] = ()  # what is no address

    @property
    def complaints(self) -> tuple[str, ...]:
        """What php-fpm's workers say about the list."""
        nobody = () if self.networks else (NOBODY,)
        return (*(WRONG.format(text) for text in self.wrong), *nobody)


def parse_clients(text: str) -> Clients:
    """Understand a list; an empty text is a list of one wrong address, as in php-fpm."""
    networks, wrong = [], []
    for part in text.split(","):
        network = _network(part.strip())
        if network is None:
            wrong.append(part.strip())
        else:
            networks.append(network)
    return Clients(tuple(networks), tuple(wrong))


def _network(text: str) -> tuple[str, int] | None:
    from ipaddress import ip_network  # most pools have no such list

    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return None
    if network.version == 6:
        return network.network_address.packed.hex(), network.prefixlen
    return (bytes(10) + b"\xff\xff" + network.network_address.packed).hex(), 96 + network.prefixlen
