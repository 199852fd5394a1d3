"""Cut one line of a configuration file into tokens, by the rules of PHP's INI scanner.

The scanner is a machine with six states.  In each, several rules may fit; as in PHP the longest
match wins, and among equals the first.  The same letters therefore mean different things in
different places: `yes` is a boolean as a whole value, but two letters more make it a word.
"""

import re
from collections.abc import Iterator
from enum import Enum, auto

from kraal.fields import Frozen


class Kind(Enum):
    """What a token is to the grammar; MARK stands for the one character in its text."""

    END = auto()
    EOL = auto()
    SECTION = auto()
    OFFSET = auto()
    LABEL = auto()
    TRUE = auto()
    FALSE = auto()
    NULL = auto()
    CONSTANT = auto()
    TEXT = auto()
    QUOTE = auto()
    VARIABLE = auto()
    MARK = auto()
    SKIP = auto()


class State(Enum):
    """Where in a statement the scanner stands."""

    START = auto()
    SECTION = auto()
    OFFSET = auto()
    VALUE = auto()
    VARIABLE = auto()
    QUOTED = auto()


class Token(Frozen):
    """A piece of a line: for EOL and END the text is empty."""

    kind: Kind
    text: str = ""


_BOM = "\ufeff"
_NEWLINE = r"(?:\r\n|\r|\n)"
_LABEL = r'[^=\n\r\t;&|^$~(){}!"\[]+'
_NUMBER = r"(?:-?[0-9]+|[0-9]*\.[0-9]+|[0-9]+\.[0-9]*)"
# A dollar takes the next character with it, and after a backslash the one after that or not: what
# makes the longest match depends on the rest, so that both orders are rules.
_DOLLARS = (r"\$\\[\s\S]|\$[^{\0]", r"\$[^{\0]|\$\\[\s\S]")
_BOOLEANS = (
    (r"(?i:true|on|yes)[ \t]*", Kind.TRUE),
    (r"(?i:false|off|none|no)[ \t]*", Kind.FALSE),
    (r"(?i:null)[ \t]*", Kind.NULL),
)
_RAW = (r"'[^']+'", Kind.TEXT)
_VARIABLE = (r"\$\{", Kind.VARIABLE)
_QUOTE = (r'[ \t]*"', Kind.QUOTE)
_WORDS = ((r"[a-zA-Z_][a-zA-Z0-9_]*", Kind.CONSTANT), (_NUMBER, Kind.TEXT))
_SECTION_TEXT = tuple((rf"""(?:[^$\n\r;"'\]\\]|\\[\s\S]|{dollar})+""", Kind.TEXT) for dollar in _DOLLARS)
_VALUE_TEXT = tuple((rf"""(?:[^$= \t\n\r;&|^~()!"'\0]|{dollar})+""", Kind.TEXT) for dollar in _DOLLARS)
_COMMENT = (rf"[ \t]*;[^\r\n]*{_NEWLINE}", Kind.EOL)

_Rule = tuple[str, Kind]
_RULES: dict[State, tuple[_Rule, ...]] = {
    State.START: (
        (r"\[", Kind.SECTION),
        (_LABEL + r"\[[ \t]*", Kind.OFFSET),
        *_BOOLEANS,
        (_LABEL, Kind.LABEL),
        (r"[ \t]*=[ \t]*", Kind.MARK),
        (r"""[:,.\[\]"'()&|^+\-/*=%$!~<>?@{}]""", Kind.MARK),
        (r"[ \t]+", Kind.SKIP),
        (rf"[ \t]*{_NEWLINE}", Kind.EOL),
        _COMMENT,
    ),
    State.SECTION: (
        _RAW,
        (rf"\][ \t]*{_NEWLINE}?", Kind.MARK),
        _VARIABLE,
        *_WORDS,
        *_SECTION_TEXT,
        _QUOTE,
        (r"[ \t]+", Kind.TEXT),
    ),
    State.OFFSET: (
        _RAW,
        (r"[ \t]*\]", Kind.MARK),
        _VARIABLE,
        *_WORDS,
        *_SECTION_TEXT,
        _QUOTE,
        (r"[ \t]+", Kind.TEXT),
    ),
    State.VALUE: (
        _RAW,
        _VARIABLE,
        *_BOOLEANS,
        (rf"[ \t]*{_NEWLINE}", Kind.EOL),
        *_WORDS,
        (r"[&|^~()!][ \t]*", Kind.MARK),
        *_VALUE_TEXT,
        _QUOTE,
        (r"[ \t]+", Kind.TEXT),
        _COMMENT,
    ),
    State.VARIABLE: ((_LABEL, Kind.LABEL), (r"\}", Kind.MARK)),
    State.QUOTED: (_VARIABLE, (r'"[ \t]*', Kind.QUOTE)),
}
_COMPILED = {
    state: tuple((re.compile(pattern), kind) for pattern, kind in rules) for state, rules in _RULES.items()
}
# Only a backslash before one of these is an escape; before anything else it is itself.
_ESCAPE = re.compile(r'\\(["\\$])')
# The end of a quoted run: a quote, a variable, or PHP's exception for Windows paths, where a
# backslash before the quote that ends the line is no escape.
_QUOTED_END = re.compile(r'(?:[^"\\$]|\\(?!"(?:[\r\n]|\Z))[\s\S]|\$(?!\{))*\\?', re.ASCII)


def tokens(line: str) -> Iterator[Token]:
    """Yield the tokens of one line, which ends in a newline; the last token is END.

    A character that fits no rule ends the line silently, as it does in PHP.
    """
    line = line.removeprefix(_BOM)
    states = [State.START]
    position = 0
    while position < len(line):
        state = states[-1]
        kind, end = _longest(state, line, position)
        text = line[position:end]
        position = end
        if kind is Kind.END and state is State.QUOTED:
            position, text = _quoted(line, position)
            yield Token(Kind.TEXT, text)
            continue
        if kind is Kind.END and state is State.VALUE:
            if line[position] == "'" and line.find("'", position + 1) < 0:
                # PHP looks for the other quote, runs into the end of the line and stays there.
                states.clear()
                break
            # An empty pair of quotes ends the value; an equals sign as well, and is then read again.
            position += line[position] != "="
            kind = Kind.EOL
        if kind is Kind.END:
            break
        _step(states, kind, text)
        if kind is not Kind.SKIP:
            yield _token(state, kind, text)
    if states and states[-1] is State.VALUE:
        yield Token(Kind.EOL)
    yield Token(Kind.END)


def _longest(state: State, line: str, position: int) -> tuple[Kind, int]:
    """Find the rule with the longest match; END if none fits."""
    best, best_end = Kind.END, position
    for pattern, kind in _COMPILED[state]:
        match = pattern.match(line, position)
        if match is not None and match.end() > best_end:
            best, best_end = kind, match.end()
    return best, best_end


def _step(states: list[State], kind: Kind, text: str) -> None:
    """Move to the state that follows the token."""
    state = states[-1]
    match kind:
        case Kind.SECTION:
            states[-1] = State.SECTION
        case Kind.OFFSET:
            states[-1] = State.OFFSET
        case Kind.VARIABLE:
            states.append(State.VARIABLE)
        case Kind.QUOTE if state is State.QUOTED:
            states.pop()
        case Kind.QUOTE:
            states.append(State.QUOTED)
        case Kind.EOL:
            states[-1] = State.START
        case Kind.MARK if state is State.VARIABLE:
            states.pop()
        case Kind.MARK if state in (State.SECTION, State.OFFSET):
            states[-1] = State.START
        case Kind.MARK if state is State.START and text.strip(" \t") == "=":
            states[-1] = State.VALUE
        case _:
            pass


def _token(state: State, kind: Kind, text: str) -> Token:
    """Give the token the text that the grammar wants to see."""
    match kind:
        case Kind.LABEL:
            return Token(kind, text.lstrip(" \t").rstrip(" \t\r\n"))
        case Kind.OFFSET:
            return Token(kind, text.lstrip(" \t").rstrip(" \t\r\n["))
        case Kind.TEXT if text.startswith("'") and state is not State.QUOTED:
            return Token(kind, text[1:-1])
        case Kind.MARK:
            return Token(kind, text.strip(" \t\r\n"))
        case Kind.EOL:
            return Token(kind)
        case _:
            return Token(kind, text)


def _quoted(line: str, position: int) -> tuple[int, str]:
    """Read the plain run inside double quotes and undo its escapes."""
    match = _QUOTED_END.match(line, position)
    end = match.end() if match is not None else len(line)
    return end, _ESCAPE.sub(r"\1", line[position:end])
