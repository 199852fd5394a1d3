"""PHP stacks, read from memory that somebody else may have written."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kraal._native import _bridge

from kraal.fields import names
from kraal.memory.layout import Layout
from kraal.memory.stack import MOST_TEXT, Frame, Implausible, Kind, Pages, Reader
from tests.support.memory import INCLUDE, LAYOUT, MAIN, Memory

ALL = 100


def frames(memory: Memory, most: int = ALL) -> tuple[Frame, ...]:
    return Reader(memory.layout, memory.read).frames(most)


def program(memory: Memory) -> int:
    """The frame of a main script that is in line 7."""
    code = memory.function(lines=(1, 7, 9))
    return memory.frame(code, opline=memory.opcode(code, 1), kind=MAIN)


def told(found: tuple[Frame, ...]) -> list[tuple[str, str, int]]:
    return [(frame.name, frame.file, frame.line) for frame in found]


def test_layout_has_the_fields_of_the_header() -> None:
    struct: Any = _bridge.ffi.typeof("struct kraal_layout")

    assert [name for name, _ in struct.fields] == list(names(Layout))


def test_worker_without_a_request_has_no_frames() -> None:
    assert frames(Memory()) == ()


def test_frames_are_told_innermost_first() -> None:
    memory = Memory()
    function = memory.function(b"work", file=b"/srv/b.php", lines=(20, 21))
    called = memory.frame(function, opline=memory.opcode(function, 1), previous=program(memory))
    memory.current(memory.frame(memory.function(b"sleep", internal=True), previous=called))

    found = frames(memory)

    assert told(found) == [("sleep", "", 0), ("work", "/srv/b.php", 21), ("", "/srv/a.php", 7)]
    assert [frame.kind for frame in found] == [Kind.FUNCTION, Kind.FUNCTION, Kind.MAIN]
    assert [frame.is_php for frame in found] == [False, True, True]


def test_no_more_frames_are_read_than_asked_for() -> None:
    memory = Memory()
    at = program(memory)
    function = memory.function(b"deep")
    for _ in range(50):
        at = memory.frame(function, opline=memory.opcode(function), previous=at)
    memory.current(at)

    assert len(frames(memory, 10)) == 10


def test_included_code_is_told_from_the_main_script() -> None:
    memory = Memory()
    code = memory.function(file=b"/srv/inc.php")
    memory.current(memory.frame(code, opline=memory.opcode(code), previous=program(memory), kind=INCLUDE))

    assert [frame.kind for frame in frames(memory)] == [Kind.INCLUDE, Kind.MAIN]


def test_methods_have_their_class_and_whether_there_is_an_object() -> None:
    memory = Memory()
    method = memory.function(b"run", class_=memory.class_(b"Shop\\Cart"))
    static = memory.frame(method, opline=memory.opcode(method), previous=program(memory))
    memory.current(memory.frame(method, opline=memory.opcode(method), previous=static, this=static))

    found = frames(memory)

    assert [frame.class_name for frame in found] == ["Shop\\Cart", "Shop\\Cart", ""]
    assert [frame.has_object for frame in found] == [True, False, False]


def test_name_of_an_anonymous_class_ends_where_php_ends_it() -> None:
    memory = Memory()
    method = memory.function(b"run", class_=memory.class_(b"class@anonymous\0/srv/a.php:3$0"))
    memory.current(memory.frame(method, opline=memory.opcode(method), previous=program(memory)))

    assert frames(memory)[0].class_name == "class@anonymous"


@pytest.mark.parametrize(("offset", "line"), [(0, 30), (32, 31), (64, 0), (-32, 0), (8, 0), (2**40, 0)])
def test_line_is_that_of_an_opcode_of_the_function_or_unknown(offset: int, line: int) -> None:
    memory = Memory()
    function = memory.function(b"f", lines=(30, 31))
    opline = memory.opcode(function) + offset
    memory.current(memory.frame(function, opline=opline, previous=program(memory)))

    assert frames(memory)[0].line == line


def test_frame_that_throws_is_where_it_threw() -> None:
    memory = Memory()
    function = memory.function(b"f", lines=(30, 31))
    memory.number(LAYOUT.before_exception, memory.opcode(function, 1))
    memory.current(memory.frame(function, opline=LAYOUT.exception_op + 32, previous=program(memory)))
    assert frames(memory)[0].line == 31

    memory.number(LAYOUT.before_exception, 0)
    assert frames(memory)[0].line == 31, "the end of the function"


def test_generators_that_delegate_stand_where_the_placeholder_is() -> None:
    memory = Memory()
    inner, middle, outer = (memory.function(name) for name in (b"inner", b"middle", b"outer"))
    caller = program(memory)
    root = memory.generator(0)
    between = memory.generator(memory.frame(middle, opline=memory.opcode(middle)), parent=root)
    leaf = memory.generator(memory.frame(outer, opline=memory.opcode(outer)), parent=between)
    placeholder = memory.frame(0, this=leaf, previous=caller)
    memory.current(memory.frame(inner, opline=memory.opcode(inner), previous=placeholder))

    assert [frame.name for frame in frames(memory)] == ["inner", "middle", "outer", ""]


def test_other_frames_without_a_function_are_stepped_over() -> None:
    memory = Memory()
    memory.current(
        memory.frame(0, previous=memory.frame(0, this=memory.put(bytes(64)), previous=program(memory)))
    )

    assert [frame.kind for frame in frames(memory)] == [Kind.MAIN]


def test_frame_without_a_name_that_a_fiber_stands_on_is_stepped_over() -> None:
    memory = Memory()
    fiber = memory.frame(memory.function(internal=True), previous=program(memory))
    function = memory.function(b"f")
    memory.current(memory.frame(function, opline=memory.opcode(function), previous=fiber))

    assert [frame.name for frame in frames(memory)] == ["f", ""]


@pytest.mark.parametrize("kind", [0, INCLUDE, 0b1_0010])
def test_stack_whose_outermost_frame_has_lost_its_caller_is_refused(kind: int) -> None:
    """A generator that is being resumed has none for some instructions."""
    memory = Memory()
    function = memory.function(b"f")
    memory.current(memory.frame(function, opline=memory.opcode(function), kind=kind))
    with pytest.raises(Implausible, match="changed"):
        frames(memory)


def test_function_that_c_code_calls_needs_no_caller() -> None:
    memory = Memory()
    function = memory.function(b"shutdown")
    memory.current(memory.frame(function, opline=memory.opcode(function), kind=0b10))

    assert [frame.name for frame in frames(memory)] == ["shutdown"]


def test_circles_are_refused() -> None:
    memory = Memory()
    function = memory.function(b"f")
    at = memory.frame(function, opline=memory.opcode(function))
    memory.number(at + LAYOUT.frame_previous, at)
    memory.current(at)
    with pytest.raises(Implausible, match="circle"):
        frames(memory)

    generator = memory.generator(at)
    memory.number(generator + LAYOUT.generator_parent, generator)
    memory.current(memory.frame(0, this=generator, previous=program(memory)))
    with pytest.raises(Implausible, match="circle"):
        frames(memory)


@pytest.mark.parametrize("named", [False, True], ids=["without a function", "without a name"])
def test_circle_of_frames_that_are_not_shown_is_refused(named: bool) -> None:
    memory = Memory()
    at = memory.frame(memory.function(internal=True) if named else 0)
    memory.number(at + LAYOUT.frame_previous, at)
    memory.current(at)
    with pytest.raises(Implausible, match="circle"):
        frames(memory)


@pytest.mark.parametrize("pointer", [1, 8, 0xFFF8, 2**63, 2**64 - 8, 0x7F0000000001, 0x7FFFFFFFFFF8])
def test_wild_pointers_are_refused(pointer: int) -> None:
    memory = Memory()
    memory.current(pointer)
    with pytest.raises(Implausible):
        frames(memory)


@pytest.mark.parametrize("size", [2**24 + 1, 2**63, 2**64 - 1])
def test_name_of_impossible_size_is_refused(size: int) -> None:
    memory = Memory()
    name = memory.string(b"f")
    memory.number(name + LAYOUT.string_length, size)
    function = memory.function(b"f")
    memory.number(function + LAYOUT.function_name, name)
    memory.current(memory.frame(function, previous=program(memory)))
    with pytest.raises(Implausible):
        frames(memory)


def test_long_name_is_cut() -> None:
    memory = Memory()
    function = memory.function(b"f" * 5000)
    memory.current(memory.frame(function, opline=memory.opcode(function), previous=program(memory)))

    assert frames(memory)[0].name == "f" * MOST_TEXT


def test_script_and_params_of_the_request_are_found() -> None:
    memory = Memory()
    memory.number(LAYOUT.script, memory.put(b"/srv/a.php\0"))
    memory.request({b"REQUEST_URI": b"/a?b=c", b"REQUEST_IP": b"x", b"REQUEST_ID": b"caf\xe9"})
    reader = Reader(LAYOUT, memory.read)

    assert reader.script() == "/srv/a.php"
    assert reader.params(("REQUEST_ID", "REQUEST_URI")) == {"REQUEST_URI": "/a?b=c", "REQUEST_ID": "caf\\xe9"}


def test_without_a_request_there_is_neither_script_nor_param() -> None:
    reader = Reader(LAYOUT, Memory().read)

    assert (reader.script(), reader.params(("REQUEST_ID",))) == ("", {})


def test_param_that_was_taken_away_is_not_told() -> None:
    memory = Memory()
    memory.request({b"REQUEST_ID": b"x"})
    request = int.from_bytes(memory.read(LAYOUT.request, 8), "little")
    connection = int.from_bytes(memory.read(request, 8), "little")
    pairs = int.from_bytes(memory.read(connection + LAYOUT.connection_pairs, 8), "little")
    memory.number(pairs + LAYOUT.pair_value, 0)

    assert Reader(LAYOUT, memory.read).params(("REQUEST_ID",)) == {}


def test_impossible_number_of_params_is_refused() -> None:
    memory = Memory()
    memory.request({b"REQUEST_ID": b"x"})
    request = int.from_bytes(memory.read(LAYOUT.request, 8), "little")
    connection = int.from_bytes(memory.read(request, 8), "little")
    memory.number(connection + LAYOUT.connection_pair_count, 2**40)

    with pytest.raises(Implausible):
        Reader(LAYOUT, memory.read).params(("REQUEST_ID",))


def whole_program() -> Memory:
    """Something of everything."""
    memory = Memory()
    method = memory.function(b"run", class_=memory.class_(b"Cart"), lines=(1, 2))
    at = memory.frame(method, opline=memory.opcode(method, 1), previous=program(memory))
    leaf = memory.generator(memory.frame(method, opline=memory.opcode(method)), parent=memory.generator(at))
    at = memory.frame(0, this=leaf, previous=at)
    memory.current(memory.frame(memory.function(b"sleep", internal=True), previous=at))
    memory.number(LAYOUT.script, memory.put(b"/srv/a.php\0"))
    memory.request({b"REQUEST_URI": b"/a", b"REQUEST_ID": b"x"})
    return memory


def read_all(memory: Memory) -> None:
    """Read everything that there is; whatever it is, this ends with values or with Implausible."""
    reader = Reader(LAYOUT, memory.read)
    for read in (lambda: reader.frames(ALL), reader.script, lambda: reader.params(("REQUEST_ID",))):
        try:
            read()
        except Implausible:
            continue


WHOLE = whole_program()
PLACES = WHOLE.words()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(PLACES),
            st.one_of(st.sampled_from(PLACES), st.integers(0, 2**64 - 1), st.integers(0, 4096)),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_hostile_memory_is_read_without_an_error(changes: list[tuple[int, int]]) -> None:
    memory = WHOLE.copy()
    for address, value in changes:
        memory.number(address, value)

    read_all(memory)


@given(st.randoms(use_true_random=False))
def test_random_memory_is_read_without_an_error(random: Random) -> None:
    memory = WHOLE.copy()
    for address in random.sample(PLACES, k=min(40, len(PLACES))):
        memory.number(address, random.choice(PLACES))

    read_all(memory)


def test_a_page_is_fetched_once() -> None:
    fetched = []

    def fetch(address: int, size: int) -> bytes:
        fetched.append((address, size))
        return bytes(range(256)) * (size // 256)

    pages = Pages(fetch)

    assert pages.read(0x5000 + 4094, 4) == b"\xfe\xff\x00\x01"
    assert pages.read(0x5000, 1) == b"\x00"
    assert fetched == [(0x5000, 4096), (0x6000, 4096)]


@pytest.mark.parametrize("address", [0, -8, 2**57, 2**64])
def test_what_can_be_no_memory_is_not_fetched(address: int) -> None:
    def fetch(_address: int, _size: int) -> bytes:
        raise AssertionError("there is nothing to be fetched")

    with pytest.raises(Implausible):
        Pages(fetch).read(address, 8)


def test_page_that_is_not_there_is_refused() -> None:
    with pytest.raises(Implausible):
        Pages(lambda _address, _size: b"").read(0x5000, 8)
