"""Read the PHP stack of a worker out of its memory.  Pure: how memory is read is the caller's.

Everything that is read is foreign: pointers may be wild, lengths wrong, and frames may go round in a circle.
Whatever cannot be the stack of a worker is refused as a whole; `stack_sample` knows whether it moved.
"""

import sys
from collections.abc import Callable, Iterator
from enum import Enum

from kraal.fields import Frozen
from kraal.memory.layout import Layout

# Gives so many bytes from an address on, or raises Implausible.
Read = Callable[[int, int], bytes]

_PAGE = 4096
_LOWEST, _HIGHEST = 0x1000, 1 << 57
_ALIGNMENT = 8
# Of a name so much is shown, as in php-fpm; one that says to be longer than that is none.
MOST_TEXT = 1023
_LONGEST = 1 << 24
_MOST_OPCODES = 1 << 28
_MOST_PAIRS = 4096
_MOST_UNSHOWN = 4096  # frames one after the other that nobody is told of


class Implausible(Exception):
    """What was read cannot be what was looked for."""


class Kind(Enum):
    """What a frame runs."""

    FUNCTION = "function"
    INCLUDE = "include"  # or eval
    MAIN = "main"


class Frame(Frozen, kw_only=True):
    """One level of a stack."""

    address: int = 0
    kind: Kind = Kind.FUNCTION
    name: str = ""
    class_name: str = ""
    has_object: bool = False
    # All of these only if it is written in PHP.
    file: str = ""
    line: int = 0  # where it called the frame above; of the innermost where it was last seen; 0: unknown
    first_line: int = 0
    last_line: int = 0

    @property
    def is_php(self) -> bool:
        """Whether it is written in PHP."""
        return bool(self.file)

    @property
    def title(self) -> str:
        """What it runs, in PHP's own words."""
        if self.kind is Kind.MAIN:
            return "{main}"
        if self.kind is Kind.INCLUDE:
            return "include"
        sign = "->" if self.has_object else "::"
        return f"{self.class_name}{sign}{self.name}" if self.class_name else self.name


class Pages:
    """Memory, each page of it read once."""

    def __init__(self, fetch: Read) -> None:
        self._fetch = fetch
        self._pages: dict[int, bytes] = {}

    def read(self, address: int, size: int) -> bytes:
        """See `Read`."""
        if not _LOWEST <= address <= address + size <= _HIGHEST:
            raise Implausible(f"there is no memory at {address:#x}")
        first, last = address // _PAGE, (address + size - 1) // _PAGE
        found = b"".join(self._page(number) for number in range(first, last + 1))
        offset = address - first * _PAGE
        return found[offset : offset + size]

    def _page(self, number: int) -> bytes:
        page = self._pages.get(number)
        if page is None:
            page = self._fetch(number * _PAGE, _PAGE)
            if len(page) != _PAGE:
                raise Implausible(f"there is no memory at {number * _PAGE:#x}")
            self._pages[number] = page
        return page


class Reader:
    """Numbers, texts and functions in the memory of one worker at one moment."""

    def __init__(self, layout: Layout, read: Read) -> None:
        self._layout = layout
        self._read = read
        self._functions: dict[int, _Function] = {}

    def frames(self, most: int) -> tuple[Frame, ...]:
        """The stack, innermost first, and no more than so many frames of it.  Raises Implausible."""
        found: list[Frame] = []
        seen: set[int] = set()
        for address in self._addresses(self._pointer(self._layout.current_frame)):
            if len(found) == most:
                break
            if address in seen:
                raise Implausible("the stack goes round in a circle")
            seen.add(address)
            found.append(self._frame(address))
        return tuple(found)

    def script(self) -> str:
        """The main script's name; empty without a request."""
        at = self._pointer(self._layout.script)
        return self._c_text(at) if at else ""

    def params(self, names: tuple[str, ...]) -> dict[str, str]:
        """Those of the running request's params that have these names."""
        layout = self._layout
        request = self._pointer(layout.request) if names else 0
        if not request:
            return {}
        connection = self._pointer(request + layout.request_connection)
        pairs = self._pointer(connection + layout.connection_pairs)
        count = self._number(connection + layout.connection_pair_count, 8)
        if count > _MOST_PAIRS:
            raise Implausible(f"a request has no {count} params")
        found = {}
        for index in range(count):
            name, value = self._pair(pairs + index * layout.pair_size, names)
            if name in names:
                found[name] = value
        return found

    # ------------------------------------------------------------ frames

    def _addresses(self, frame: int) -> Iterator[int]:
        layout = self._layout
        unshown = 0
        while frame:
            function = self._pointer(frame + layout.frame_func)
            unshown += 1
            if unshown > _MOST_UNSHOWN:
                raise Implausible("frames that are not shown go round in a circle")
            if not function:
                # PHP's own backtrace steps over frames without a function, but for these.
                yield from self._delegating(frame)
            elif not self._function(function).is_hidden:
                unshown = 0
                yield frame
            previous = self._pointer(frame + layout.frame_previous)
            if not previous:
                self._check_outermost(frame)
            frame = previous

    def _check_outermost(self, frame: int) -> None:
        """A generator or fiber that is just about to be tied to its caller, or untied, seems to have none."""
        info = self._number(frame + self._layout.frame_info, 4)
        if not info & self._layout.flag_top or info & self._layout.flag_generator:
            raise Implausible("the stack is being changed")

    def _delegating(self, frame: int) -> Iterator[int]:
        """The generators that are in a `yield from`, where a placeholder stands for all of them."""
        layout = self._layout
        generator = self._pointer(frame + layout.frame_this)
        if not self._holds_object(frame) or not generator:
            return
        if self._pointer(generator + layout.object_class) != layout.generator_class:
            return
        chain: list[int] = []
        while parent := self._pointer(generator + layout.generator_parent):
            if len(chain) > _MOST_PAIRS:
                raise Implausible("generators go round in a circle")
            chain.append(self._pointer(generator + layout.generator_frame))
            generator = parent
        yield from reversed(chain)

    def _holds_object(self, frame: int) -> bool:
        info = self._number(frame + self._layout.frame_info, 4)
        return info & self._layout.type_mask == self._layout.type_object

    def _frame(self, address: int) -> Frame:
        layout = self._layout
        function = self._function(self._pointer(address + layout.frame_func))
        kind = Kind.FUNCTION
        if not function.name:
            kind = self._kind_of_code(address)
        line = 0
        if function.file:
            line = self._line(self._pointer(address + layout.frame_opline), function)
        return Frame(
            address=address,
            kind=kind,
            name=function.name,
            class_name=function.class_name,
            has_object=self._holds_object(address),
            file=function.file,
            line=line,
            first_line=function.first_line,
            last_line=function.last_line,
        )

    def _kind_of_code(self, address: int) -> Kind:
        kind = self._number(address + self._layout.frame_info, 4) & self._layout.kind_mask
        if kind == self._layout.kind_top:
            return Kind.MAIN
        if kind == self._layout.kind_nested:
            return Kind.INCLUDE
        raise Implausible("a function has no name")

    def _line(self, opcode: int, function: "_Function") -> int:
        layout = self._layout
        throwing = layout.exception_op <= opcode < layout.exception_op_end
        if throwing:
            opcode = self._number(layout.before_exception, 8)
        offset = opcode - function.opcodes
        if offset % layout.opcode_size or not 0 <= offset < function.last * layout.opcode_size:
            # The register has it, and memory has never seen it.
            return function.last_line if throwing else 0
        return self._number(opcode + layout.opcode_line, 4)

    def _function(self, address: int) -> "_Function":
        known = self._functions.get(address)
        if known is None:
            known = self._functions[address] = self._read_function(address)
        return known

    def _read_function(self, address: int) -> "_Function":
        layout = self._layout
        name = self._pointer(address + layout.function_name)
        scope = self._pointer(address + layout.function_class)
        shown = self._string(name) if name else ""
        class_name = self._string(self._pointer(scope + layout.class_name)) if scope else ""
        if self._number(address + layout.function_type, 1) == layout.internal_function:
            return _Function(shown, class_name)
        last = self._number(address + layout.function_last, 4)
        if last > _MOST_OPCODES:
            raise Implausible(f"a function has no {last} opcodes")
        file = self._string(self._pointer(address + layout.function_file))
        if not file:
            raise Implausible("a function is in no file")
        return _Function(
            shown,
            class_name,
            file,
            self._pointer(address + layout.function_opcodes),
            last,
            self._number(address + layout.function_line_start, 4),
            self._number(address + layout.function_line_end, 4),
        )

    # ------------------------------------------------------------ memory

    def _number(self, address: int, size: int) -> int:
        return int.from_bytes(self._read(address, size), sys.byteorder)

    def _pointer(self, address: int) -> int:
        pointer = self._number(address, 8)
        if pointer and (pointer % _ALIGNMENT or not _LOWEST <= pointer < _HIGHEST):
            # Texts of C may stand anywhere; `_address` is for these.
            raise Implausible(f"{pointer:#x} is no pointer")
        return pointer

    def _string(self, address: int) -> str:
        size = self._number(address + self._layout.string_length, 8)
        if size > _LONGEST:
            raise Implausible(f"a name has no {size} bytes")
        return _text(self._read(address + self._layout.string_text, min(size, MOST_TEXT)))

    def _c_text(self, address: int) -> str:
        """Text up to its NUL."""
        found = b""
        while len(found) < MOST_TEXT:
            # Not beyond the page: the next one need not be there.
            size = min(_PAGE - address % _PAGE, MOST_TEXT - len(found))
            piece, end, _ = self._read(address, size).partition(b"\0")
            found += piece
            if end:
                break
            address += size
        return _text(found)

    def _pair(self, address: int, names: tuple[str, ...]) -> tuple[str, str]:
        layout = self._layout
        size = self._number(address + layout.pair_name_size, 4)
        value = self._number(address + layout.pair_value, 8)
        if not value or size not in {len(name) for name in names}:
            return "", ""
        name = _text(self._read(self._number(address + layout.pair_name, 8), size))
        if name not in names:
            return "", ""
        length = min(self._number(address + layout.pair_value_size, 4), MOST_TEXT)
        return name, _text(self._read(value, length))


class _Function(Frozen):
    name: str
    class_name: str
    file: str = ""
    opcodes: int = 0
    last: int = 0
    first_line: int = 0
    last_line: int = 0

    @property
    def is_hidden(self) -> bool:
        """Whether PHP itself does not tell of it: the frame that a fiber stands on."""
        return not self.name and not self.file


def _text(found: bytes) -> str:
    # The name of an anonymous class goes on behind a NUL.
    return found.partition(b"\0")[0].decode("utf-8", "backslashreplace")
