"""Where a pool listens: a Unix socket, or a TCP port on one address or on all of them."""

from kraal.fields import Frozen

# What fits into sockaddr_un beside the final zero byte; php-fpm cuts longer paths off in silence.
MAX_UNIX_PATH = 107
_DIGITS = frozenset("0123456789")


class UnixAddress(Frozen):
    """A socket file."""

    path: str

    def __str__(self) -> str:
        return self.path


class TcpAddress(Frozen):
    """A port on a host; no host means any address: `::` first, and `0.0.0.0` where that fails."""

    host: str | None
    port: int

    def __str__(self) -> str:
        if self.host is None:
            return str(self.port)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


Address = UnixAddress | TcpAddress


class AddressError(ValueError):
    """The text is no address; the message is the sentence that the operator reads."""


def is_tcp(text: str) -> bool:
    """Tell a port or host:port from a path, as php-fpm does: by a colon, or by nothing but digits."""
    return ":" in text or _DIGITS.issuperset(text)


def parse_address(text: str) -> Address:
    """Understand `path`, `port`, `host:port` and `[host]:port`."""
    if not is_tcp(text):
        if len(text.encode("utf-8", "surrogateescape")) > MAX_UNIX_PATH:
            raise AddressError(f"the socket path '{text}' is longer than {MAX_UNIX_PATH} bytes")
        return UnixAddress(text)
    host, colon, port_text = text.rpartition(":")
    port = _port(port_text)
    if not colon:
        return TcpAddress(None, port)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not host:
        raise AddressError(f"no host before the port in '{text}': give an address, or the port alone")
    return TcpAddress(host, port)


def _port(text: str) -> int:
    # Five digits are enough for a port, and int() is slow on very long numbers.
    number = int(text) if _DIGITS.issuperset(text) and 0 < len(text) <= 5 else 0
    if not 1 <= number <= 65535:
        raise AddressError(f"invalid port value '{text}'")
    return number
