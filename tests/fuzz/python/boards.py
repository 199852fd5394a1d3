"""Scoreboards and a ledger that workers have forged: a byte of who looks, one of how, and patches.

A patch is an offset of two bytes, in units of two, a length, and so many bytes; of a length over 127 one byte
stands sixteen times as often as the rest of it says.  The memory is that of two scoreboards of one pool, an
older and a newer one, and of its ledger.  Whoever reads it goes on, and misleads nobody.
"""

import json
import mmap
import re
import time
import xml.etree.ElementTree as tree
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kraal.manager import exit_message, overtime, sizing
from kraal.manager.crew import Crew
from kraal.manager.overtime import Limits
from kraal.manager.sizing import Policy
from kraal.memory import ledger, scoreboard
from kraal.memory.ledger import Entries
from kraal.memory.scoreboard import Scoreboard, size_for
from kraal.metrics.exposition import render
from kraal.metrics.families import PoolView, Told, View, families, standings
from kraal.observe import tables
from kraal.observe.census import Snapshot, kin
from kraal.pages import status
from kraal.reload.report import Report
from kraal.top import cells, panel, rates
from kraal.top.command import head
from kraal.top.panel import Picture
from kraal.unix.process import Pid
from kraal.unix.vitals import Vitals
from tests.fuzz.targets import Play

_SLOTS = 2
_BOARD = size_for(_SLOTS)
_PIDS = [4711 + slot for slot in range(_SLOTS)]
_UNIT = 2
_KEYS = ("Left", "Right", "r", "Tab", "i", "Down", "p", "f")
_SIZES = ((24, 80), (50, 200), (5, 20), (1, 1))
_LABEL = r'\w+="(?:[^"\\\n]|\\.)*"'
_SAMPLE = re.compile(rf"(kraal_\w+)(?:\{{{_LABEL}(?:,{_LABEL})*\}})? (-)?\d+(?:\.\d+)?(?:e[-+]\d+)?")
_MASTER, _MANAGER = 1, 2
_VITALS = Vitals(parent=_MANAGER, started=5, cpu=1.5, rss=4096)
_OF_MANAGER = Vitals(parent=_MASTER, started=4, cpu=2.0, rss=4096)
_POLICIES = [
    Policy(kind=kind, max_children=5, min_spare_servers=1, max_spare_servers=3)
    for kind in (sizing.STATIC, sizing.DYNAMIC, sizing.ONDEMAND)
]


class Forgery:
    """The memory."""

    def __init__(self) -> None:
        self.memories = [mmap.mmap(-1, _BOARD) for _ in range(2)]
        self.before, self.now = map(Scoreboard, self.memories)
        self.ledger = b""
        for board in (self.before, self.now):
            board.initialize()
            for slot, pid in enumerate(_PIDS):
                board.prepare(slot)
                board.occupy(slot, pid)
        self._fresh = b"".join(memory[:] for memory in self.memories) + ledger.fresh()

    def forge(self, patches: bytes) -> None:
        """Have it as it was, and then as an input says."""
        content = bytearray(self._fresh)
        while len(patches) > 3:
            offset, size = int.from_bytes(patches[:2]) * _UNIT % len(content), patches[2]
            taken = 1 if size > 127 else size
            found = patches[3 : 3 + taken] * ((size - 127) * 16 if size > 127 else 1)
            content[offset : offset + len(found)] = found[: len(content) - offset]
            patches = patches[3 + taken :]
        self.memories[0][:] = bytes(content[:_BOARD])
        self.memories[1][:] = bytes(content[_BOARD : 2 * _BOARD])
        self.ledger = bytes(content[2 * _BOARD :])


@contextmanager
def begin(folder: Path) -> Iterator[Play]:
    """Have the memory."""
    del folder
    forgery = Forgery()

    def play(content: bytes) -> None:
        if len(content) < 2:
            return
        forgery.forge(content[2:])
        _LOOKS[content[0] % len(_LOOKS)](forgery, content[1])

    yield play


def _page(forgery: Forgery, choice: int) -> None:
    """The status page is well-formed in every form."""
    state = forgery.now.read()
    page = status.Page(
        pool="www",
        policy="dynamic",
        state=state,
        now=time.time(),
        clock_ns=time.monotonic_ns(),
        is_bounded=bool(choice & 1),
        has_memory_peak=bool(choice & 2),
    )
    bodies = {}
    for form in ("", "html", "xml", "json", "openmetrics"):
        head, _, bodies[form] = (
            status.status(page, method="GET", query=f"full&{form}").decode().partition("\r\n\r\n")
        )
        assert head.isascii()
    tree.fromstring(bodies["xml"])
    assert len(json.loads(bodies["json"])["processes"]) == len(state.workers)
    assert bodies["openmetrics"].endswith("# EOF\n")
    rows = bodies[""].split("\n")
    assert sum(row.startswith("pid:") for row in rows) == len(state.workers)
    assert all(row.isprintable() or "\ufffd" in row or not row.isascii() for row in rows)


def _manager(forgery: Forgery, choice: int) -> None:
    """Its manager decides on its own workers alone, and takes the file over."""
    board, clock, policy = forgery.now, time.monotonic(), _POLICIES[choice % len(_POLICIES)]
    crew = Crew(board)
    for slot, pid in enumerate(_PIDS):
        crew.join(Pid(pid), slot, clock)
    seen = crew.look(clock, waiting=choice % 4)
    for plan in (sizing.tick(policy, seen, sizing.State()), sizing.crowd(policy, seen, sizing.State())):
        assert set(plan.leave) <= set(_PIDS)
        assert 0 <= plan.start <= policy.max_children
    states = {Pid(pid): state for slot, pid in enumerate(_PIDS) if (state := board.worker(slot))}
    limits = Limits(timeout=1.0, grace=1.0, track_finished=bool(choice & 1))
    for action in overtime.decide(limits, states, {}, clock).actions:
        assert action.pid in _PIDS
        overtime.explain(action, states[action.pid])
    for pid, state in states.items():
        exit_message.describe(
            exit_message.Death(
                pid=pid,
                end="exited",
                age=1.0,
                expected=False,
                state=state,
                now_ns=time.monotonic_ns(),
                memory=0,
            )
        )
    crew.count()
    for count in (board.count_reached, board.count_slow, board.count_turned_away, board.untold):
        count()
    board.initialize()
    assert not board.read().workers
    assert board.free_slot() is not None


def _master(forgery: Forgery, _choice: int) -> None:
    """The master sums up, and makes the next manager a file with the same counters."""
    content = forgery.memories[1][:]
    active, idle, accepted, slow = scoreboard.tally(content)
    assert 0 <= active + idle <= _SLOTS
    assert min(accepted, slow) >= 0
    next_one = scoreboard.continued_header(content)
    assert len(next_one) == size_for(0)
    assert len(scoreboard.continued_header(content[: size_for(0) // 2])) == size_for(0)
    scoreboard.layout_in(content)
    for slot in range(_SLOTS):
        at = size_for(slot)
        scoreboard.state_in(content[at : at + size_for(1) - size_for(0)])


def _commands(forgery: Forgery, choice: int) -> None:
    """`status`, `workers` and `top` show it, whatever the terminal's size, and nothing speaks to it."""
    kinsfolk = kin(_MASTER, dict.fromkeys(_PIDS, _VITALS), {_MANAGER: _OF_MANAGER})
    before, now = (
        Snapshot(
            clock_ns=clock,
            master=_MASTER,
            load=(1.0, 1.0, 1.0),
            pools={"www": board.read()},
            workers=kinsfolk[0],
            managers=kinsfolk[1],
        )
        for board, clock in ((forgery.before, 10**9), (forgery.now, 3 * 10**9))
    )
    states = now.pools
    pools, workers = tables.pools(states), tables.workers(states, time.monotonic_ns())
    json.dumps([pools, workers])
    for table in (pools, workers):
        _check_shown(tables.render(table, list(table[0]) if table else ["pool"]))
    rows = rates.pools(before if choice & 1 else None, now), rates.workers(before, now)
    picture = Picture(head(now, rows[0], "00:00:00"), *rows)
    view = panel.View()
    for number, key in enumerate(_KEYS):
        if choice >> number & 1:
            view = panel.pressed(view, key)
    height, width = _SIZES[choice % len(_SIZES)]
    shown = panel.lines(view, picture, height, width)
    assert len(shown) <= height
    for line in shown:
        assert cells.width(line.text) == width, line
        _check_shown(line.text)


def _check_shown(text: str) -> None:
    assert text.replace("\n", "").isprintable(), text


def _figures(forgery: Forgery, _choice: int) -> None:
    """Prometheus can read the figures; what counts is not below 0."""
    pool = PoolView(
        name="www", state=forgery.now.read(), entries=ledger.read(forgery.ledger) or Entries(), pss=0
    )
    view = View("1", Report(), [pool])
    kinds = {}
    for line in render([*families(view), *standings(Told(["www"]))]).splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kinds[name] = line.split(" ")
        elif not line.startswith("# HELP "):
            sample = _SAMPLE.fullmatch(line)
            assert sample, line
            # A histogram's samples have names of their own.
            assert kinds.get(sample[1]) == "gauge" or not sample[2], line


_LOOKS = (_page, _manager, _master, _commands, _figures)
