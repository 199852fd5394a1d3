"""The FastCGI wire format."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraal.errors import LocalProtocolError, RemoteProtocolError
from kraal.fastcgi import records
from kraal.fastcgi.records import EndBody, Header, ProtocolStatus, RecordType

PAIRS = st.lists(st.tuples(st.binary(max_size=300), st.binary(max_size=300)), max_size=20)


def test_header_bytes_are_those_of_the_specification() -> None:
    raw = records.encode_record(RecordType.STDIN, 0x0102, b"abc")

    assert raw[:8] == bytes([1, 5, 1, 2, 0, 3, 5, 0])
    assert raw[8:] == b"abc\0\0\0\0\0"


def test_record_without_content_is_a_header_only() -> None:
    assert records.params_end(1) == bytes([1, 4, 0, 1, 0, 0, 0, 0])


@given(
    kind=st.integers(0, 255),
    request_id=st.integers(0, records.MAX_REQUEST_ID),
    content=st.binary(max_size=2000),
)
def test_record_comes_back_as_it_was_sent(kind: int, request_id: int, content: bytes) -> None:
    raw = records.encode_record(kind, request_id, content)

    header = records.decode_header(raw)

    assert header == Header(kind, request_id, len(content), header.padding_length)
    assert len(raw) == header.record_length
    assert len(raw) % 8 == 0
    assert raw[8 : 8 + header.content_length] == content


def test_largest_record_fits() -> None:
    raw = records.encode_record(RecordType.STDOUT, 1, bytes(65535))

    assert records.decode_header(raw).content_length == 65535


def test_record_that_is_too_long_is_our_mistake() -> None:
    with pytest.raises(LocalProtocolError, match="65535 bytes at most, not 65536"):
        records.encode_record(RecordType.STDOUT, 1, bytes(65536))


def test_request_id_that_does_not_fit_is_our_mistake() -> None:
    with pytest.raises(LocalProtocolError, match="between 0 and 65535, not 65536"):
        records.encode_record(RecordType.STDOUT, 65536)


@pytest.mark.parametrize("version", [0, 2, 255, ord("G")])
def test_other_versions_are_refused(version: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"version must be 1, not {version}"):
        records.decode_header(bytes([version, 1, 0, 1, 0, 0, 0, 0]))


def test_long_stream_is_split_over_records() -> None:
    content = bytes(range(256)) * 1000

    raw = records.encode_stream(RecordType.STDOUT, 1, content)

    found = b""
    while raw:
        header = records.decode_header(raw)
        assert header.content_length
        found += raw[8 : 8 + header.content_length]
        raw = raw[header.record_length :]
    assert found == content


def test_no_content_does_not_end_a_stream() -> None:
    assert records.encode_stream(RecordType.STDOUT, 1, b"") == b""


@pytest.mark.parametrize("length", [0, 1, 127, 128, 255, 256, 65535, 65536, 100_000])
def test_length_of_a_value_takes_one_byte_below_128_and_four_above(length: int) -> None:
    raw = records.encode_pairs([(b"N", bytes(length))])

    assert len(raw) == (2 if length < 128 else 5) + 1 + length
    assert list(records.decode_pairs(raw)) == [(b"N", bytes(length))]


def test_four_byte_length_of_a_short_value_is_understood() -> None:
    raw = b"\x80\0\0\x01" + b"\x80\0\0\x02" + b"N" + b"vv"

    assert list(records.decode_pairs(raw)) == [(b"N", b"vv")]


@given(PAIRS)
def test_pairs_come_back_as_they_were_sent(pairs: list[records.Pair]) -> None:
    assert list(records.decode_pairs(records.encode_pairs(pairs))) == pairs


@given(PAIRS.filter(bool), st.data())
def test_pairs_that_are_cut_off_never_give_more_than_was_sent(
    pairs: list[records.Pair], data: st.DataObject
) -> None:
    raw = records.encode_pairs(pairs)
    cut = data.draw(st.integers(0, len(raw) - 1))
    found: list[records.Pair] = []

    try:
        found.extend(records.decode_pairs(raw[:cut]))
    except RemoteProtocolError:
        return

    assert found == pairs[: len(found)]


@pytest.mark.parametrize(
    "raw",
    [
        b"\x01",  # no length of the value
        b"\x80\0\0",  # a long length cut off
        b"\x01\x80\0\0",  # the second one cut off
        b"\x01\x01N",  # the value is missing
        b"\x05\x00N",  # the name is too short
        b"\xff\xff\xff\xff\xff\xff\xff\xffN",  # 4 GB announced
    ],
)
def test_pair_that_reaches_beyond_its_stream_is_refused(raw: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        list(records.decode_pairs(raw))


@given(st.binary(max_size=200))
def test_random_pairs_are_decoded_or_refused(raw: bytes) -> None:
    try:
        for name, value in records.decode_pairs(raw):
            assert len(name) + len(value) <= len(raw)
    except RemoteProtocolError:
        pass


@pytest.mark.parametrize("keep", [True, False])
def test_begin_request_comes_back(keep: bool) -> None:
    raw = records.begin_request(7, 1, keep_connection=keep)

    assert records.decode_begin(raw[8:]) == records.BeginBody(1, keep)


def test_end_request_comes_back() -> None:
    raw = records.end_request(7, 255, ProtocolStatus.OVERLOADED)

    assert records.decode_end(raw[8:]) == EndBody(255, ProtocolStatus.OVERLOADED)


def test_negative_app_status_is_sent_as_exit_codes_are() -> None:
    assert records.end_request(1, -1)[8:12] == b"\xff\xff\xff\xff"


def test_unknown_type_comes_back() -> None:
    assert records.decode_unknown_type(records.unknown_type(200)[8:]) == 200


def test_unknown_protocol_status_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="unknown protocol status 9"):
        records.decode_end(b"\0\0\0\0\x09\0\0\0")


@pytest.mark.parametrize("length", [0, 7, 9])
def test_begin_request_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"BEGIN_REQUEST must hold 8 bytes, not {length}"):
        records.decode_begin(bytes(length))
