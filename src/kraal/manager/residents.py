"""The residents of a pool: workers in which the worker script stays loaded.  What to do is in `residency`.

They are workers like the others, and in the manager's table of workers; here is what only they have: a boot
that may fail, news about it, and successors that are up before they leave.
"""

import os
import signal
from collections.abc import Callable
from functools import partial

from kraal.boot import Order
from kraal.fields import Frozen
from kraal.logs.relay import Level
from kraal.manager import file_watch, residency, sizing
from kraal.manager.residency import Source, Stage
from kraal.manager.side_processes import SideProcesses
from kraal.unix import process
from kraal.unix.loop import Loop, Timer
from kraal.unix.process import Pid
from kraal.worker.news import Item, Kind, News
from kraal.worker.spawning import Spawner

_LOOK = 1.0  # seconds between looks at their memory


class Hands(Frozen):
    """What is done by the manager."""

    spawn: Callable[[], Pid | None]  # may raise OSError
    ask_to_leave: Callable[[Pid], None]
    served: Callable[[Pid], int]  # requests
    log: Callable[[int, str], None]
    ready: Callable[[], None]  # all have booted, for the first time
    failed: Callable[[str], None]  # one of them could not, before that
    ended: Callable[[str], None]  # or was ended by somebody


class Residents:
    """The one owner of their stages."""

    def __init__(
        self,
        order: Order,
        loop: Loop,
        news: News,
        side_processes: SideProcesses,
        spawner: Spawner,
        hands: Hands,
    ) -> None:
        self._order = order
        self._loop = loop
        self._news = news
        self._side_processes = side_processes
        self._watcher: Pid | None = None
        self._spawner = spawner
        self._zygote: Pid | None = None
        self._source = Source.NOTHING if order.fork else Source.MANAGER
        self._hands = hands
        self._stages: dict[Pid, Stage] = {}
        self._failures = 0  # in a row
        self._waiting: Timer | None = None
        self._ready = False
        self._stopping = False

    def start(self) -> None:
        """Have as many as are wanted, from now on."""
        self._loop.watch(self._news.fileno(), self.hear)
        if self._order.max_memory:
            self._loop.call_later(_LOOK, self._look_at_memory)
        if self._order.watched:
            self._watch()
        self._carry_out()

    def stop(self) -> None:
        """Start no more."""
        self._stopping = True
        self._spawner.end_zygote()
        if self._watcher is not None:
            process.send(self._watcher, signal.SIGKILL)

    def _watch(self) -> None:
        if self._stopping:
            return
        tell = partial(self._news.tell, Kind.CHANGED)
        look = partial(file_watch.watch, self._order.watched, tell, os.getpid())
        try:
            self._watcher = self._side_processes.hire(
                "watches files", (self._news.told,), look, self._watch_later
            )
        except OSError:
            # Too many processes, or no memory: that may pass.
            self._watch_later()

    def _watch_later(self) -> None:
        self._watcher = None
        self._loop.call_later(_LOOK, self._watch)

    def _restart(self, changed: str) -> None:
        """Have all of them start anew, at once."""
        self._hands.log(Level.NOTICE, f"worker.watch: {changed} changed: starting the worker script again")
        self._spawner.end_zygote()
        self._lose_zygote()
        for pid, stage in self._stages.items():
            if stage is not Stage.LEAVING:
                self._leave(pid)
        self._failures = 0
        self._wait_no_longer()

    def _wait_no_longer(self) -> None:
        if self._waiting:
            self._waiting.cancel()
            self._waiting = None

    def hear(self) -> None:
        """Read the news."""
        for item in self._news.receive():
            pid = Pid(item.pid)
            if pid in self._stages:
                self._learn(pid, item)
            elif pid == self._zygote:
                self._learn_of_zygote(item)
            elif pid == self._watcher and item.kind is Kind.CHANGED and not self._stopping:
                self._restart(item.text)
        self._carry_out()

    def _learn(self, pid: Pid, item: Item) -> None:
        stage = self._stages[pid]
        match item.kind:
            case Kind.BOOTED if stage is Stage.BOOTING:
                self._stages[pid] = Stage.UP
                self._failures = 0
                self._check_ready()
            case Kind.FAILED if stage is not Stage.LEAVING:
                self._stages[pid] = Stage.LEAVING
                self._fail(item.text, self._hands.failed)
            case Kind.SPENT if stage is Stage.UP:
                self._stages[pid] = Stage.DUE
            case Kind.ENDED:
                text = f"worker script of child {pid} has ended ({item.text}): starting it again"
                self._hands.log(Level.NOTICE, text)
                if self._order.fork:
                    # It leaves by itself, and a fork takes its place.
                    self._stages[pid] = Stage.LEAVING
            case _:
                pass

    def part(self, gone: process.Exit) -> bool:
        """A process is gone.  Returns whether nobody but ordinary workers can take new connections now."""
        if gone.pid in self._stages or gone.pid == self._zygote:
            self._bury(gone)
        return not {Stage.UP, Stage.DUE} & set(self._stages.values())

    def _bury(self, gone: process.Exit) -> None:
        self.hear()
        ended = self._hands.failed if gone.signal is None else self._hands.ended
        if gone.pid == self._zygote:
            text = "was being started when its process" if self._source is Source.BOOTING else "the zygote"
            self._lose_zygote()
            self._fail(f"{text} exited {gone}", ended)
        elif self._stages.pop(gone.pid, None) is Stage.BOOTING:
            self._fail(f"was being started when its process exited {gone}", ended)
        self._carry_out()

    def _learn_of_zygote(self, item: Item) -> None:
        if item.kind is Kind.BOOTED:
            self._source = Source.ZYGOTE
        elif item.kind is Kind.FAILED:
            self._lose_zygote()
            self._fail(item.text, self._hands.failed)

    def _lose_zygote(self) -> None:
        self._zygote = None
        if self._source is not Source.MANAGER:
            self._source = Source.NOTHING

    def _check_ready(self) -> None:
        if not self._ready and list(self._stages.values()).count(Stage.UP) >= self._order.residents:
            self._ready = True
            self._hands.ready()

    def _fail(self, why: str, tell: Callable[[str], None]) -> None:
        if self._stopping:
            return
        text = f"worker script {self._order.script}: {why}"
        if not self._ready:
            self._stopping = True
            tell(text)
            return
        self._failures += 1
        delay = sizing.respawn_delay(self._failures + 1)
        self._hands.log(Level.ERROR, f"{text} (next attempt in {delay:g} s)")
        self._wait_no_longer()
        self._waiting = self._loop.call_later(delay, self._go_on)

    def _go_on(self) -> None:
        self._waiting = None
        self._carry_out()

    def _carry_out(self) -> None:
        if self._stopping:
            return
        plan = residency.plan(self._order.residents, self._stages.items(), self._source)
        for pid in plan.leave:
            self._leave(Pid(pid))
        if self._waiting:
            return
        if plan.boot_zygote:
            self._boot_zygote()
        for _ in range(plan.start):
            born = self._spawn()
            if born is None:
                self._waiting = self._waiting or self._loop.call_later(_LOOK, self._go_on)
                break
            self._stages[born] = Stage.BOOTING

    def _spawn(self) -> Pid | None:
        try:
            return self._hands.spawn()
        except OSError as error:
            self._hands.log(Level.ERROR, f"cannot start a worker: {error.strerror} ({error.errno})")
            if self._zygote is not None and not self._spawner.has_zygote:
                self._lose_zygote()
                self._fail("the zygote has gone", self._hands.ended)
            return None

    def _boot_zygote(self) -> None:
        try:
            self._zygote = self._spawner.boot_zygote()
        except OSError as error:
            self._hands.log(Level.ERROR, f"cannot start a zygote: {error.strerror} ({error.errno})")
            self._waiting = self._loop.call_later(_LOOK, self._go_on)
        else:
            self._source = Source.BOOTING
            self._hands.log(Level.DEBUG, f"zygote {self._zygote} started")

    def _leave(self, pid: Pid) -> None:
        self._stages[pid] = Stage.LEAVING
        self._hands.ask_to_leave(pid)

    def _look_at_memory(self) -> None:
        self._loop.call_later(_LOOK, self._look_at_memory)
        if Stage.DUE in self._stages.values() or self._stopping:
            return
        up = [pid for pid, stage in self._stages.items() if stage is Stage.UP and self._hands.served(pid)]
        sizes = {pid: process.own_memory(pid) for pid in up}
        limit = self._order.max_memory
        largest = max(up, key=lambda pid: sizes[pid], default=None)
        if largest is None or sizes[largest] <= limit:
            return
        size = sizes[largest]
        text = f"child {largest} has {size} bytes of memory, more than pm.max_memory ({limit}): replacing it"
        self._hands.log(Level.NOTICE, text)
        self._stages[largest] = Stage.DUE
        self._carry_out()
