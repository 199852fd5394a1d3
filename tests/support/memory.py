"""A made-up memory with a PHP stack in it, laid out by a made-up layout."""

from dataclasses import dataclass, field

from kraal.fields import replace
from kraal.memory.layout import Layout
from kraal.memory.stack import Implausible

MAIN, INCLUDE, OBJECT = 0b11, 0b01, 8
_PAGE = 4096
_BASE = 0x7F0000000000
_ROOTS = 0x5500_0000_0000

LAYOUT = Layout(
    current_frame=_ROOTS,
    exception_op=_ROOTS + 0x100,
    exception_op_end=_ROOTS + 0x160,
    before_exception=_ROOTS + 0x08,
    generator_class=_ROOTS + 0x200,
    script=_ROOTS + 0x10,
    request=_ROOTS + 0x18,
    frame_size=64,
    frame_opline=0,
    frame_func=24,
    frame_this=32,
    frame_info=40,
    frame_previous=48,
    kind_mask=0b11 << 16,
    kind_top=MAIN << 16,
    kind_nested=INCLUDE << 16,
    flag_top=0b10 << 16,
    flag_generator=1 << 20,
    type_mask=0xFF,
    type_object=OBJECT,
    function_size=96,
    function_type=0,
    function_name=8,
    function_class=16,
    internal_function=1,
    function_file=24,
    function_opcodes=32,
    function_last=40,
    function_line_start=44,
    function_line_end=48,
    opcode_size=32,
    opcode_line=24,
    string_length=16,
    string_text=24,
    class_name=8,
    object_class=16,
    generator_frame=56,
    generator_parent=64,
    request_connection=0,
    connection_pairs=8,
    connection_pair_count=16,
    pair_size=24,
    pair_name=0,
    pair_value=8,
    pair_name_size=16,
    pair_value_size=20,
)


@dataclass
class Memory:
    """Pages by number; where nothing was written there is none."""

    layout: Layout = LAYOUT
    pages: dict[int, bytearray] = field(default_factory=dict)
    _next: int = _BASE

    def __post_init__(self) -> None:
        if not self.pages:
            self.write(_ROOTS, bytes(0x300))

    def copy(self) -> "Memory":
        return Memory(
            pages={number: bytearray(page) for number, page in self.pages.items()}, _next=self._next
        )

    def words(self) -> list[int]:
        """Where something was written."""
        every = (number * _PAGE + at for number in self.pages for at in range(0, _PAGE, 8))
        return [at for at in every if any(self.read(at, 8))]

    def write(self, address: int, content: bytes) -> None:
        for at, byte in enumerate(content, start=address):
            self.pages.setdefault(at // _PAGE, bytearray(_PAGE))[at % _PAGE] = byte

    def put(self, content: bytes) -> int:
        address = self._next
        self._next += (len(content) + 31) // 16 * 16
        self.write(address, content.ljust(16, b"\0"))
        return address

    def number(self, address: int, value: int, size: int = 8) -> None:
        self.write(address, value.to_bytes(size, "little"))

    def read(self, address: int, size: int) -> bytes:
        """See stack.Read."""
        try:
            return bytes(self.pages[at // _PAGE][at % _PAGE] for at in range(address, address + size))
        except KeyError as error:
            raise Implausible("nothing is there") from error

    # ------------------------------------------------------------ what PHP has

    def string(self, text: bytes) -> int:
        return self.put(bytes(16) + len(text).to_bytes(8, "little") + text + b"\0")

    def class_(self, name: bytes) -> int:
        at = self.put(bytes(16))
        self.number(at + self.layout.class_name, self.string(name))
        return at

    def function(
        self,
        name: bytes = b"",
        *,
        file: bytes = b"/srv/a.php",
        lines: tuple[int, ...] = (3,),
        class_: int = 0,
        internal: bool = False,
    ) -> int:
        layout = self.layout
        at = self.put(bytes(layout.function_size))
        self.number(at + layout.function_type, 1 if internal else 2, 1)
        self.number(at + layout.function_name, self.string(name) if name else 0)
        self.number(at + layout.function_class, class_)
        if internal:
            return at
        opcodes = self.put(bytes(layout.opcode_size * len(lines)))
        for index, line in enumerate(lines):
            self.number(opcodes + index * layout.opcode_size + layout.opcode_line, line, 4)
        self.number(at + layout.function_file, self.string(file))
        self.number(at + layout.function_opcodes, opcodes)
        self.number(at + layout.function_last, len(lines), 4)
        self.number(at + layout.function_line_start, min(lines), 4)
        self.number(at + layout.function_line_end, max(lines), 4)
        return at

    def opcode(self, function: int, index: int = 0) -> int:
        at = function + self.layout.function_opcodes
        return int.from_bytes(self.read(at, 8), "little") + index * self.layout.opcode_size

    def frame(
        self, function: int, *, opline: int = 0, previous: int = 0, kind: int = 0, this: int = 0
    ) -> int:
        layout = self.layout
        at = self.put(bytes(layout.frame_size))
        self.number(at + layout.frame_opline, opline)
        self.number(at + layout.frame_func, function)
        self.number(at + layout.frame_this, this)
        self.number(at + layout.frame_info, kind << 16 | (OBJECT if this else 0), 4)
        self.number(at + layout.frame_previous, previous)
        return at

    def current(self, frame: int) -> None:
        self.number(self.layout.current_frame, frame)

    def generator(self, frame: int, *, parent: int = 0) -> int:
        layout = self.layout
        at = self.put(bytes(96))
        self.number(at + layout.object_class, layout.generator_class)
        self.number(at + layout.generator_frame, frame)
        self.number(at + layout.generator_parent, parent)
        return at

    def request(self, params: dict[bytes, bytes]) -> None:
        layout = self.layout
        pairs = self.put(bytes(layout.pair_size * max(1, len(params))))
        for index, (name, value) in enumerate(params.items()):
            at = pairs + index * layout.pair_size
            self.number(at + layout.pair_name, self.put(name))
            self.number(at + layout.pair_value, self.put(value))
            self.number(at + layout.pair_name_size, len(name), 4)
            self.number(at + layout.pair_value_size, len(value), 4)
        connection = self.put(bytes(32))
        self.number(connection + layout.connection_pairs, pairs)
        self.number(connection + layout.connection_pair_count, len(params))
        request = self.put(bytes(16))
        self.number(request + layout.request_connection, connection)
        self.number(layout.request, request)

    def laid_out(self, **changes: int) -> Layout:
        return replace(self.layout, **changes)
