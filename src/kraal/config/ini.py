"""Read the text of a configuration file by PHP's INI rules, as php-fpm applies them.

php-fpm gives PHP's parser one line at a time.  So a quoted value cannot run over lines, every
mistake has the line where it stands, and a line is understood without the ones before it.
The grammar is here, the tokens are in `scanner`; what a name means is none of their business.
"""

import re
from collections.abc import Iterator, Mapping

from kraal.config.constants import CONSTANTS, resolve
from kraal.config.excerpts import excerpt
from kraal.config.scanner import Kind, Token, tokens
from kraal.errors import Place
from kraal.fields import Frozen


class Section(Frozen):
    """`[name]`: what follows belongs to it."""

    name: str
    at: Place


class Entry(Frozen):
    """`name = value`, or `name[key] = value` (then the key is a string, perhaps an empty one)."""

    name: str
    value: str
    at: Place
    key: str | None = None


class Fault(Frozen):
    """A line, or the rest of one, that is no INI syntax; perhaps it was to be a section's name."""

    message: str
    at: Place
    opens: bool = False


Item = Section | Entry | Fault

# Parentheses and signs deeper than this are a mistake, not an expression.
_MAX_DEPTH = 100
# A long variable written many times would be more than fits into memory.
_MAX_VARIABLES = 1024 * 1024
_BLANK = re.compile(r"[ \t]*(?:;.*)?\r?", re.DOTALL)
_INTEGER = re.compile(r"\s*([+-]?[0-9]+)", re.ASCII)
_STARTS_TEXT = (Kind.TEXT, Kind.CONSTANT, Kind.QUOTE, Kind.VARIABLE)


def parse(
    text: str, file: str, environ: Mapping[str, str], constants: Mapping[str, str] = CONSTANTS
) -> Iterator[Item]:
    """Yield what the text says, line by line; `environ` answers `${NAME}`, unknown names are empty."""
    for number, line in enumerate(text.split("\n"), start=1):
        # Most lines of most files are empty or a comment, so these go first.
        if not line or (line[0] == ";" and "\r" not in line):
            continue
        if "\r" not in line[:-1] and _BLANK.fullmatch(line):
            continue
        yield from _Line(line, Place(file, number), environ, constants).items()


class _SyntaxError(Exception):
    """The tokens of this line do not make a statement."""


class _Line:
    """A parser of one line: one token of look-ahead, operators by precedence."""

    def __init__(
        self, line: str, at: Place, environ: Mapping[str, str], constants: Mapping[str, str]
    ) -> None:
        self._line = excerpt(line)
        self._opens = line.startswith("[")
        self._tokens = tokens(line.split("\0", 1)[0] if "\0" in line else line + "\n")
        self._next = next(self._tokens)
        self._at = at
        self._environ = environ
        self._constants = constants
        self._room = _MAX_VARIABLES

    def items(self) -> Iterator[Item]:
        """Yield the statements; a syntax error is the last item of its line."""
        try:
            while self._next.kind is not Kind.END:
                if self._next.kind is Kind.EOL:
                    self._take()
                else:
                    yield self._statement()
        except _SyntaxError as error:
            yield Fault(f"syntax error, {error} in '{self._line}'", self._at, self._opens)

    def _statement(self) -> Item:
        token = self._take()
        match token.kind:
            case Kind.SECTION:
                name = self._text(literal=True) if self._next.kind in _STARTS_TEXT else ""
                self._expect("]")
                return Section(name, self._at)
            case Kind.OFFSET:
                key = self._text(literal=False) if self._next.kind in _STARTS_TEXT else ""
                self._expect("]")
                self._expect("=")
                return Entry(token.text, self._value(), self._at, key)
            case Kind.LABEL if self._next == Token(Kind.MARK, "="):
                self._take()
                return Entry(token.text, self._value(), self._at)
            case Kind.LABEL:
                return Fault(f"'{excerpt(token.text)}' has no value: an equals sign is missing", self._at)
            case _:
                raise _unexpected(token)

    def _value(self) -> str:
        match self._next.kind:
            case Kind.TRUE:
                self._take()
                return "1"
            case Kind.FALSE | Kind.NULL | Kind.EOL:
                self._take()
                return ""
            case _:
                return self._expression(_MAX_DEPTH)

    def _expression(self, depth: int) -> str:
        """Read operands joined by | & ^, which all bind alike and from the left."""
        result = self._operand(depth)
        while self._next.kind is Kind.MARK and self._next.text in "|&^":
            operator = self._take().text
            left, right = _to_int(result), _to_int(self._operand(depth))
            result = str({"|": left | right, "&": left & right, "^": left ^ right}[operator])
        return result

    def _operand(self, depth: int) -> str:
        if depth == 0:
            raise _SyntaxError("an expression nested too deeply")
        if self._next.kind in _STARTS_TEXT:
            return self._text(literal=False)
        mark = self._take()
        match mark:
            case Token(Kind.MARK, "~"):
                return str(~_to_int(self._operand(depth - 1)))
            case Token(Kind.MARK, "!"):
                return str(int(not _to_int(self._operand(depth - 1))))
            case Token(Kind.MARK, "("):
                result = self._expression(depth - 1)
                self._expect(")")
                return result
            case _:
                raise _unexpected(mark)

    def _text(self, *, literal: bool) -> str:
        """Join words, quoted strings and variables; in a section's name constants stay words."""
        parts: list[str] = []
        while self._next.kind in _STARTS_TEXT:
            token = self._take()
            match token.kind:
                case Kind.QUOTE:
                    parts.append(self._quoted())
                case Kind.VARIABLE:
                    parts.append(self._variable())
                case Kind.CONSTANT if not literal:
                    parts.append(resolve(token.text, self._constants))
                case _:
                    parts.append(token.text)
        return "".join(parts)

    def _quoted(self) -> str:
        parts: list[str] = []
        while (token := self._take()).kind is not Kind.QUOTE:
            match token.kind:
                case Kind.TEXT:
                    parts.append(token.text)
                case Kind.VARIABLE:
                    parts.append(self._variable())
                case _:
                    raise _SyntaxError("a quoted value that does not end on its line")
        return "".join(parts)

    def _variable(self) -> str:
        name = self._take()
        if name.kind is not Kind.LABEL:
            raise _unexpected(name)
        self._expect("}")
        value = self._environ.get(name.text, "")
        self._room -= len(value)
        if self._room < 0:
            raise _SyntaxError("a value that is too long with its variables")
        return value

    def _expect(self, mark: str) -> None:
        token = self._take()
        if token != Token(Kind.MARK, mark):
            raise _SyntaxError(f"{_describe(token)} where '{mark}' should be")

    def _take(self) -> Token:
        token = self._next
        if token.kind is not Kind.END:
            self._next = next(self._tokens)
        return token


def _unexpected(token: Token) -> _SyntaxError:
    return _SyntaxError(f"unexpected {_describe(token)}")


def _describe(token: Token) -> str:
    match token.kind:
        case Kind.EOL | Kind.END:
            return "end of line"
        case Kind.TRUE | Kind.FALSE | Kind.NULL:
            return f"'{token.text.strip()}' (a boolean stands alone or in quotes)"
        case Kind.SECTION:
            return "'['"
        case _:
            return f"'{excerpt(token.text)}'"


def _to_int(text: str) -> int:
    """Read a number as C's atoi does on 32 bits: what follows the digits does not count."""
    match = _INTEGER.match(text)
    # Digits beyond those of a 64-bit number cannot change the result, but would cost time.
    number = 0 if match is None else max(-(2**63), min(2**63 - 1, int(match[1][:25])))
    return (number + 2**31) % 2**32 - 2**31
