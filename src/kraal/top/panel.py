"""What `kraal top` shows, as lines for a screen of any size, and what keys do to it.  Pure."""

from collections.abc import Callable, Sequence
from enum import Enum, auto

from kraal.fields import Frozen, replace
from kraal.observe.tables import Row
from kraal.top import cells

Value = str | int | float | None

_NO_END = 1 << 30

HELP = """\
Left, Right   sort by the column beside; its title is written large
r             turn the order around
Tab           pools and workers, pools alone, workers alone
f             only pools that have a text in their names; Escape: all
i             without idle workers, or with them
Up, Down, PgUp, PgDn, Home    move
p, space      pause
+, -          look less often, more often
q             quit

most   the most workers that were active at once; max: as many as there may be
cpu%   of one processor; that of a pool has its manager in it
time   of the request that runs
pss    memory; what several processes share counts in parts (rss: as a whole)"""


class Show(Enum):
    """The tables that are shown."""

    BOTH = auto()
    POOLS = auto()
    WORKERS = auto()


class Style(Enum):
    """How a line is written."""

    PLAIN = auto()
    HEAD = auto()
    STRONG = auto()
    FAINT = auto()
    ALARM = auto()


class Line(Frozen):
    """One of the screen."""

    text: str = ""
    style: Style = Style.PLAIN


class Column(Frozen):
    """Of a table.  It is left out on screens that have fewer cells than `least`."""

    key: str
    title: str
    width: int  # 0: what is left
    form: Callable[[float], str] | None = None  # None: a text
    least: int = 0


class Order(Frozen):
    """How a table is sorted."""

    key: str
    largest_first: bool


POOLS = (
    Column("pool", "pool", 14),
    Column("idle", "idle", 5, cells.number),
    Column("active", "active", 6, cells.number),
    Column("most", "most", 5, cells.number),
    Column("max", "max", 5, cells.number),
    Column("queue", "queue", 5, cells.number),
    Column("queue limit", "limit", 5, cells.number),
    Column("rate", "req/s", 6, cells.one_place),
    Column("cpu", "cpu%", 5, cells.one_place),
    Column("pss", "pss", 5, cells.size),
    Column("rss", "rss", 5, cells.size, least=90),
    Column("slow", "slow", 5, cells.number),
)
WORKERS = (
    Column("pid", "pid", 7, str),
    Column("pool", "pool", 10),
    Column("state", "state", 9),
    Column("time", "time", 6, cells.duration),
    Column("requests", "reqs", 5, cells.number),
    Column("cpu", "cpu%", 5, cells.one_place),
    Column("pss", "pss", 5, cells.size),
    Column("rss", "rss", 5, cells.size, least=100),
    Column("method", "method", 6),
    Column("url", "url", 0),
    Column("script", "script", 40, least=140),
)


class Picture(Frozen):
    """What there is to show: texts above, and both tables."""

    head: tuple[str, ...] = ()
    pools: Sequence[Row] = ()
    workers: Sequence[Row] = ()
    alarm: str = ""  # what is wrong with the picture


class View(Frozen, kw_only=True):
    """What the user has chosen."""

    show: Show = Show.BOTH
    pools: Order = Order("active", largest_first=True)
    workers: Order = Order("time", largest_first=True)
    filter: str = ""
    typing: bool = False  # the filter is being written
    idle: bool = True
    paused: bool = False
    help: bool = False
    first: int = 0  # how many lines of the lower table have been moved away
    interval: float = 2.0
    ended: bool = False


def pressed(view: View, key: str, page: int = 10) -> View:
    """What a key does; keys without a letter have names: Left, Enter, ...  `page` is in lines."""
    if view.typing:
        return _typed(view, key)
    if view.help:
        return replace(view, help=False, ended=key == "q")
    match key:
        case "q":
            return replace(view, ended=True)
        case "?" | "h":
            return replace(view, help=True)
        case "Tab":
            shows = list(Show)
            return replace(view, show=shows[(shows.index(view.show) + 1) % len(shows)], first=0)
        case "p" | " ":
            return replace(view, paused=not view.paused)
        case "i":
            return replace(view, idle=not view.idle, first=0)
        case "f" | "/":
            return replace(view, typing=True, filter="", first=0)
        case "+" | "-":
            return replace(view, interval=_interval(view.interval, 2 if key == "+" else 0.5))
        case "Left" | "<" | "Right" | ">":
            return _sorted_by_next(view, -1 if key in ("Left", "<") else 1)
        case "r":
            return _turned_around(view)
        case "Up" | "Down" | "PgUp" | "PgDn" | "Home":
            by = {"Up": -1, "Down": 1, "PgUp": -page, "PgDn": page, "Home": -view.first}[key]
            return replace(view, first=max(0, view.first + by))
        case _:
            return view


def _interval(before: float, factor: float) -> float:
    return min(60.0, max(0.25, before * factor))


def _typed(view: View, key: str) -> View:
    match key:
        case "Enter":
            return replace(view, typing=False)
        case "Escape":
            return replace(view, typing=False, filter="")
        case "Backspace":
            return replace(view, filter=view.filter[:-1])
        case _ if len(key) == 1 and key.isprintable():
            return replace(view, filter=view.filter + key)
        case _:
            return view


def _sorted_by_next(view: View, step: int) -> View:
    columns = POOLS if view.show is Show.POOLS else WORKERS
    order = _order(view)
    keys = [column.key for column in columns]
    column = columns[(keys.index(order.key) + step) % len(keys)]
    return _ordered(view, Order(column.key, largest_first=column.form is not None and column.key != "pid"))


def _turned_around(view: View) -> View:
    order = _order(view)
    return _ordered(view, replace(order, largest_first=not order.largest_first))


def _order(view: View) -> Order:
    return view.pools if view.show is Show.POOLS else view.workers


def _ordered(view: View, order: Order) -> View:
    return replace(view, pools=order) if view.show is Show.POOLS else replace(view, workers=order)


def chosen(rows: Sequence[Row], order: Order, part: str, *, idle: bool = True) -> list[Row]:
    """The rows whose pool has `part` in its name, in order; what is not known comes last."""
    found = [row for row in rows if part in str(row["pool"]) and (idle or row.get("state") != "idle")]
    known = [row for row in found if row[order.key] is not None]
    unknown = [row for row in found if row[order.key] is None]
    if order.largest_first:
        return [*sorted(known, key=lambda row: _rank(row[order.key]), reverse=True), *unknown]
    return [*sorted(known, key=lambda row: _rank(row[order.key])), *unknown]


def _rank(value: Value) -> tuple[float, str]:
    return (0.0, value) if isinstance(value, str) else (float(value or 0), "")


def text(view: View, picture: Picture, columns: int) -> str:
    """All of it, for no screen."""
    both = [
        *picture.head,
        "",
        *(each.text for each in _tables(view, picture, _NO_END, columns)),
    ]
    return "".join(cells.fit(each, columns).rstrip() + "\n" for each in both)


def lines(view: View, picture: Picture, rows: int, columns: int) -> list[Line]:
    """The screen: as many lines, each of as many cells, or fewer."""
    top = [Line(text) for text in picture.head]
    found = [*top, _notice(view, picture)]
    if view.help:
        found += [Line(text) for text in HELP.split("\n")]
    else:
        found += _tables(view, picture, max(0, rows - len(found)), columns)
    return [replace(line, text=cells.fit(line.text, columns)) for line in found[:rows]]


def _notice(view: View, picture: Picture) -> Line:
    if view.typing:
        return Line(f"pools whose name has: {cells.plain(view.filter)}_", Style.STRONG)
    said = [
        cells.plain(picture.alarm),
        "paused" if view.paused else "",
        f"pools with {cells.plain(view.filter)}" if view.filter else "",
        "" if view.idle else "without idle workers",
    ]
    text = "; ".join(each for each in said if each)
    return Line(text, Style.ALARM) if text else Line("? for help, q to quit", Style.FAINT)


def _tables(view: View, picture: Picture, rows: int, columns: int) -> list[Line]:
    pools = chosen(picture.pools, view.pools, view.filter)
    workers = chosen(picture.workers, view.workers, view.filter, idle=view.idle)
    if view.show is Show.POOLS:
        return table(POOLS, _moved(pools, view), view.pools, columns)
    below = table(WORKERS, _moved(workers, view), view.workers, columns)
    if view.show is Show.WORKERS:
        return below
    # A third of the screen, but for a screen with room for all.
    room = max(rows // 3, rows - len(workers) - 2, 2)
    above = table(POOLS, pools, view.pools, columns)
    if len(above) > room:
        left_out = len(above) - room + 1
        above = [*above[: room - 1], Line(f"{left_out} more pools: Tab shows them", Style.FAINT)]
    return [*above, Line(), *below]


def _moved(rows: Sequence[Row], view: View) -> Sequence[Row]:
    return rows[min(view.first, max(0, len(rows) - 1)) :]


def table(columns: Sequence[Column], rows: Sequence[Row], order: Order, width: int) -> list[Line]:
    """Head and rows."""
    shown = _widths([column for column in columns if column.least <= width], width)
    titles = [_title(column, order, size) for column, size in shown]
    body = [Line(" ".join(_cell(column, row, size) for column, size in shown), _style(row)) for row in rows]
    return [Line(" ".join(titles), Style.HEAD), *body]


def _widths(columns: Sequence[Column], width: int) -> list[tuple[Column, int]]:
    left = width - sum(column.width for column in columns) - len(columns) + 1
    return [(column, column.width or max(1, left)) for column in columns]


def _title(column: Column, order: Order, size: int) -> str:
    # The column that the rows are sorted by is written large.
    title = column.title.upper() if column.key == order.key else column.title
    return cells.fit(title, size, right=column.form is not None)


def _cell(column: Column, row: Row, size: int) -> str:
    value = row[column.key]
    if value is None:
        text = "-"
    elif isinstance(value, str) or column.form is None:
        text = cells.plain(str(value))
    else:
        text = column.form(value)
    return cells.fit(text, size, right=column.form is not None)


def _style(row: Row) -> Style:
    state = row.get("state")
    if state is None:
        return Style.PLAIN
    return Style.FAINT if state == "idle" else Style.STRONG
