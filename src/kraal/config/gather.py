"""Collect the items of all files into one draft per section, as the lines come.

Here a name gets its meaning: directive, array, or a mistake with the nearest name beside it.
Nothing is looked up outside, and nothing is compared with anything else: that is `settle`'s part.
"""

from collections.abc import Iterable

from kraal.config.directives import ARRAYS, GLOBAL, POOL, Directive
from kraal.config.excerpts import excerpt
from kraal.config.ini import Entry, Fault, Section
from kraal.config.model import LogLevel, Notice, PhpValue
from kraal.config.problems import Problem
from kraal.config.values import Value, ValueProblem, boolean, understand
from kraal.errors import Place
from kraal.fields import Frozen, Mutable, field

_GLOBAL = {row.name: row for row in GLOBAL}
_POOL = {row.name: row for row in POOL}
_ARRAYS = {row.name: row for row in ARRAYS}
_SUPPRESS = "access.suppress_path"
_NO_POOL = "Can't use '$pool' when the pool is not defined"
# No path or setting is longer, but a long name for `$pool` many times would be.
_MAX_EXPANDED = 1024 * 1024
# Nobody mistypes a name by so much, and comparing long names takes long.
_LONGEST_NAME = 100
# Directives of other systems, which php-fpm does not know here either.
_ELSEWHERE = {"listen.setfib": "FreeBSD"}


class Repeat(Frozen):
    """A directive that one section has twice; the later one counts."""

    name: str
    before: Place
    at: Place


class Draft(Mutable):
    """What one section says so far; `name` is None for `[global]`."""

    name: str | None
    at: Place
    values: dict[str, Value] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    env: list[tuple[str, str]] = field(default_factory=list)
    php_values: list[PhpValue] = field(default_factory=list)
    suppressed: list[str] = field(default_factory=list)
    repeats: list[Repeat] = field(default_factory=list)

    def expand(self, text: str) -> str:
        """Put the pool's name where the text says `$pool`."""
        if "$pool" in text and self.name is None:
            raise ValueProblem(_NO_POOL)
        name = self.name or ""
        if text.count("$pool") * len(name) > _MAX_EXPANDED:
            raise ValueProblem("too long with the names of the pool in it")
        return text.replace("$pool", name)


def nearest_name(name: str, names: Iterable[str], cutoff: float = 0.75) -> str | None:
    """Guess what somebody meant who wrote a name that there is not."""
    if len(name) > _LONGEST_NAME:
        return None
    import difflib  # for mistakes alone

    return next(iter(difflib.get_close_matches(name.lower(), names, n=1, cutoff=cutoff)), None)


class Gatherer:
    """The owner of the drafts: takes item after item, keeps what they say and what is wrong."""

    def __init__(self, file: str) -> None:
        self.global_ = Draft(None, Place(file))
        self.problems: list[Problem] = []
        self.notices: list[Notice] = []
        self._pools: dict[str, Draft] = {}
        self._current = self.global_

    @property
    def pools(self) -> tuple[Draft, ...]:
        """The pools in the order of their first mention."""
        return tuple(self._pools.values())

    def add(self, item: Section | Entry | Fault) -> None:
        """Take the next item; the section that it belongs to is the last one that was opened."""
        match item:
            case Section():
                self._open(item)
            case Fault():
                if not self.problems or self.problems[-1].at != item.at:
                    self.problems.append(Problem(item.message, at=item.at))
                if item.opens:
                    # Read on, so that the lines of the nameless section are checked one by one.
                    self._current = Draft("", item.at)
            case Entry(key=None):
                self._directive(item)
            case Entry():
                self._array(item)

    def _open(self, section: Section) -> None:
        if section.name.lower() == "global":
            self._current = self.global_
        else:
            self._current = self._pools.setdefault(section.name.lower(), Draft(section.name, section.at))

    def _directive(self, entry: Entry) -> None:
        table = _GLOBAL if self._current is self.global_ else _POOL
        row = table.get(entry.name.lower())
        if row is None:
            self._unknown(entry, table)
            return
        before = self._current.places.get(row.name)
        if before is not None:
            self._current.repeats.append(Repeat(row.name, before, entry.at))
        self._current.places[row.name] = entry.at
        try:
            value = understand(row.kind, entry.value)
            self._current.values[row.name] = self._current.expand(value) if isinstance(value, str) else value
        except ValueProblem as problem:
            self._refuse(entry, row.name, f"unable to parse value for entry '{row.name}': {problem}")
            return
        self._current.broken.discard(row.name)
        if not row.in_force:
            self._not_in_force(entry)

    def _unknown(self, entry: Entry, table: dict[str, Directive]) -> None:
        message = f"unknown entry '{excerpt(entry.name)}'"
        if (system := _ELSEWHERE.get(entry.name.lower())) is not None:
            self.problems.append(Problem(f"{message}: only {system} has it", at=entry.at))
            return
        other, where = (_POOL, "a pool") if table is _GLOBAL else (_GLOBAL, "[global]")
        if entry.name.lower() in other:
            self.problems.append(Problem(f"{message}: it belongs into {where}", at=entry.at))
            return
        if entry.name in _ARRAYS:
            self.problems.append(Problem(f"{message}: it takes a key, as in {entry.name}[KEY]", at=entry.at))
            return
        nearest = nearest_name(entry.name, [*table, "include"])
        if nearest is None:
            self.problems.append(Problem(message, at=entry.at))
            return
        # The operator meant this one, so that it is missing is no mistake of its own.
        self._current.broken.add(nearest)
        self.problems.append(Problem(f"{message}: did you mean {nearest}?", at=entry.at))

    def _array(self, entry: Entry) -> None:
        complaint = self._array_complaint(entry)
        if complaint is not None:
            self._refuse(entry, None, complaint)
            return
        draft, key = self._current, entry.key or ""
        draft.places[f"{entry.name.replace('flag', 'value')}[{key}]"] = entry.at
        try:
            match entry.name:
                case "env":
                    draft.env.append((key, draft.expand(entry.value)))
                case "php_value" | "php_admin_value":
                    draft.php_values.append(PhpValue(entry.name, key, draft.expand(entry.value), entry.at))
                case "php_flag" | "php_admin_flag":
                    kind = entry.name.replace("flag", "value")
                    draft.php_values.append(PhpValue(kind, key, str(int(boolean(entry.value))), entry.at))
                case _:
                    draft.suppressed.append(draft.expand(entry.value))
        except ValueProblem as problem:
            self._refuse(entry, None, f"error while parsing '{entry.name}[{excerpt(key)}]' : {problem}")

    def _array_complaint(self, entry: Entry) -> str | None:
        """Say what is wrong with the form of an array entry, in the order of php-fpm."""
        if entry.name == _SUPPRESS:
            if entry.key:
                return f"Keys provided to field '{_SUPPRESS}' are ignored"
            if not entry.value.startswith("/"):
                return f"Values provided to field '{_SUPPRESS}' must begin with '/'"
        elif not entry.key:
            return f"You must provide a key for field '{excerpt(entry.name)}'"
        if self._current is self.global_:
            return "Array are not allowed in the global section"
        if entry.name not in _ARRAYS:
            nearest = nearest_name(entry.name, _ARRAYS, cutoff=0.6)
            hint = f": did you mean {nearest}?" if nearest else ""
            return f"unknown directive '{excerpt(entry.name)}'{hint}"
        if entry.name == "env" and not entry.value:
            return "empty value"
        return None

    def _refuse(self, entry: Entry, name: str | None, complaint: str) -> None:
        if name is not None:
            self._current.broken.add(name)
        found = f", found '{excerpt(entry.value)}'" if name is not None and entry.value else ""
        self.problems.append(Problem(complaint + found, at=entry.at))

    def _not_in_force(self, entry: Entry) -> None:
        text = f"[{entry.at}] {entry.name} is not in force in this version of kraal"
        self.notices.append(Notice(LogLevel.WARNING, text))
