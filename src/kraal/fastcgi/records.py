"""Say how FastCGI looks on the wire: record headers, record contents, name-value pairs.

Functions from values to bytes and back; what a record means in a conversation is `connection`'s.
The specification: https://fastcgi-archives.github.io/FastCGI_Specification.html
"""

import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum

from kraal.errors import LocalProtocolError, RemoteProtocolError
from kraal.fields import Frozen

VERSION = 1
HEADER_SIZE = 8
MAX_CONTENT = 0xFFFF
MAX_REQUEST_ID = 0xFFFF
NULL_REQUEST_ID = 0  # of management records, which belong to no request
KEEP_CONNECTION = 1  # the flag FCGI_KEEP_CONN

# The largest content that needs no padding to end on eight bytes.
STREAM_CHUNK = MAX_CONTENT - 7

Pair = tuple[bytes, bytes]

_HEADER = struct.Struct(">BBHHBx")
_BEGIN_BODY = struct.Struct(">HB5x")
_END_BODY = struct.Struct(">IB3x")
_UNKNOWN_TYPE_BODY = struct.Struct(">B7x")
_LONG_LENGTH = struct.Struct(">I")
_LONG_FLAG = 0x80000000
_MAX_PAIR_LENGTH = 0x7FFFFFFF


class RecordType(IntEnum):
    """The eleven types of the specification."""

    BEGIN_REQUEST = 1
    ABORT_REQUEST = 2
    END_REQUEST = 3
    PARAMS = 4
    STDIN = 5
    STDOUT = 6
    STDERR = 7
    DATA = 8
    GET_VALUES = 9
    GET_VALUES_RESULT = 10
    UNKNOWN_TYPE = 11


class Role(IntEnum):
    """What the web server wants from the application."""

    RESPONDER = 1
    AUTHORIZER = 2
    FILTER = 3


class ProtocolStatus(IntEnum):
    """How a request ended, as far as FastCGI itself is concerned."""

    REQUEST_COMPLETE = 0
    CANT_MPX_CONN = 1
    OVERLOADED = 2
    UNKNOWN_ROLE = 3


class Header(Frozen):
    """The first eight bytes of a record.  `type` is a plain number: it may be one that nobody knows."""

    type: int
    request_id: int
    content_length: int
    padding_length: int

    @property
    def record_length(self) -> int:
        return HEADER_SIZE + self.content_length + self.padding_length


class Record(Frozen):
    """A whole record without its padding."""

    type: int
    request_id: int
    content: bytes


class BeginBody(Frozen):
    """What BEGIN_REQUEST says.  `role` is a plain number: it may be one that nobody knows."""

    role: int
    keep_connection: bool


class EndBody(Frozen):
    """What END_REQUEST says."""

    app_status: int
    protocol_status: ProtocolStatus


# -- records --


def decode_header(raw: bytes | bytearray) -> Header:
    """Read the first eight bytes of a record."""
    version, kind, request_id, content_length, padding_length = _HEADER.unpack_from(raw)
    if version != VERSION:
        raise RemoteProtocolError(f"FastCGI version must be {VERSION}, not {version}")
    return Header(kind, request_id, content_length, padding_length)


def encode_record(kind: int, request_id: int, content: bytes = b"") -> bytes:
    """One record, padded to a multiple of eight bytes as the specification advises."""
    if len(content) > MAX_CONTENT:
        raise LocalProtocolError(f"a record holds {MAX_CONTENT} bytes at most, not {len(content)}")
    if not 0 <= request_id <= MAX_REQUEST_ID:
        raise LocalProtocolError(f"a request id is between 0 and {MAX_REQUEST_ID}, not {request_id}")
    padding = -len(content) % 8
    return _HEADER.pack(VERSION, kind, request_id, len(content), padding) + content + bytes(padding)


def encode_stream(kind: int, request_id: int, content: bytes) -> bytes:
    """Content of any length in as many records as it takes.

    No content gives no record: an empty record would end the stream.
    """
    chunks = (content[at : at + STREAM_CHUNK] for at in range(0, len(content), STREAM_CHUNK))
    return b"".join(encode_record(kind, request_id, chunk) for chunk in chunks)


# -- name-value pairs --


def encode_pairs(pairs: Iterable[Pair]) -> bytes:
    """Name-value pairs, one after the other."""
    return b"".join(
        _encode_length(len(name)) + _encode_length(len(value)) + name + value for name, value in pairs
    )


def decode_pairs(raw: bytes) -> Iterator[Pair]:
    """The pairs in `raw`, in their order; a name may occur more than once."""
    at = 0
    while at < len(raw):
        name_length, at = _decode_length(raw, at)
        value_length, at = _decode_length(raw, at)
        middle = at + name_length
        end = middle + value_length
        if end > len(raw):
            raise RemoteProtocolError(f"a name-value pair ends {end - len(raw)} bytes after its stream")
        yield raw[at:middle], raw[middle:end]
        at = end


def _encode_length(length: int) -> bytes:
    if length < 0x80:
        return bytes((length,))
    if length > _MAX_PAIR_LENGTH:
        raise LocalProtocolError(f"a name or value holds {_MAX_PAIR_LENGTH} bytes at most, not {length}")
    return _LONG_LENGTH.pack(length | _LONG_FLAG)


def _decode_length(raw: bytes, at: int) -> tuple[int, int]:
    """A length and the position behind it: one byte, or four when the first has its top bit set."""
    if at < len(raw) and raw[at] < 0x80:
        return raw[at], at + 1
    if at + _LONG_LENGTH.size > len(raw):
        raise RemoteProtocolError("the length of a name-value pair is cut off")
    (length,) = _LONG_LENGTH.unpack_from(raw, at)
    return length & ~_LONG_FLAG, at + _LONG_LENGTH.size


# -- from the web server to the application --


def begin_request(request_id: int, role: int = Role.RESPONDER, *, keep_connection: bool = False) -> bytes:
    body = _BEGIN_BODY.pack(role, KEEP_CONNECTION if keep_connection else 0)
    return encode_record(RecordType.BEGIN_REQUEST, request_id, body)


def decode_begin(content: bytes) -> BeginBody:
    _check_length("BEGIN_REQUEST", content, _BEGIN_BODY.size)
    role, flags = _BEGIN_BODY.unpack(content)
    return BeginBody(role, keep_connection=bool(flags & KEEP_CONNECTION))


def abort_request(request_id: int) -> bytes:
    return encode_record(RecordType.ABORT_REQUEST, request_id)


def params(request_id: int, pairs: Iterable[Pair]) -> bytes:
    """The whole stream of params with its end."""
    return encode_stream(RecordType.PARAMS, request_id, encode_pairs(pairs)) + params_end(request_id)


def params_end(request_id: int) -> bytes:
    return encode_record(RecordType.PARAMS, request_id)


def stdin(request_id: int, content: bytes) -> bytes:
    return encode_stream(RecordType.STDIN, request_id, content)


def stdin_end(request_id: int) -> bytes:
    return encode_record(RecordType.STDIN, request_id)


def get_values(names: Iterable[bytes]) -> bytes:
    content = encode_pairs((name, b"") for name in names)
    return encode_record(RecordType.GET_VALUES, NULL_REQUEST_ID, content)


# -- from the application to the web server --


def stdout(request_id: int, content: bytes) -> bytes:
    return encode_stream(RecordType.STDOUT, request_id, content)


def stdout_end(request_id: int) -> bytes:
    return encode_record(RecordType.STDOUT, request_id)


def stderr(request_id: int, content: bytes) -> bytes:
    return encode_stream(RecordType.STDERR, request_id, content)


def end_request(
    request_id: int,
    app_status: int = 0,
    protocol_status: ProtocolStatus = ProtocolStatus.REQUEST_COMPLETE,
) -> bytes:
    body = _END_BODY.pack(app_status & 0xFFFFFFFF, protocol_status)
    return encode_record(RecordType.END_REQUEST, request_id, body)


def decode_end(content: bytes) -> EndBody:
    _check_length("END_REQUEST", content, _END_BODY.size)
    app_status, number = _END_BODY.unpack(content)
    try:
        return EndBody(app_status, ProtocolStatus(number))
    except ValueError:
        raise RemoteProtocolError(f"END_REQUEST carries the unknown protocol status {number}") from None


def get_values_result(pairs: Iterable[Pair]) -> bytes:
    return encode_record(RecordType.GET_VALUES_RESULT, NULL_REQUEST_ID, encode_pairs(pairs))


def unknown_type(kind: int) -> bytes:
    body = _UNKNOWN_TYPE_BODY.pack(kind)
    return encode_record(RecordType.UNKNOWN_TYPE, NULL_REQUEST_ID, body)


def decode_unknown_type(content: bytes) -> int:
    _check_length("UNKNOWN_TYPE", content, _UNKNOWN_TYPE_BODY.size)
    (kind,) = _UNKNOWN_TYPE_BODY.unpack(content)
    return int(kind)


def _check_length(name: str, content: bytes, expected: int) -> None:
    if len(content) != expected:
        raise RemoteProtocolError(f"{name} must hold {expected} bytes, not {len(content)}")
