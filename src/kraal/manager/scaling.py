"""How many ordinary workers a pool has: does what `sizing` decides, and looks again when that may change."""

from collections.abc import Callable

from kraal.boot import Order
from kraal.fields import Frozen
from kraal.logs.relay import Level
from kraal.manager import sizing
from kraal.manager.crew import Asked, Crew
from kraal.manager.demand import Demand
from kraal.manager.entrances import Entrances
from kraal.manager.max_memory import MaxMemory
from kraal.manager.process_max import ProcessMax
from kraal.unix.loop import Loop, Timer
from kraal.unix.process import Pid

_TICK = 1.0


class Hands(Frozen):
    """What is done by the manager."""

    spawn: Callable[[Level], Pid | None]  # may raise OSError
    ask_to_leave: Callable[[int, Asked], None]
    count_reached: Callable[[], None]  # pm.max_children
    set_alarm: Callable[[int], None]
    log: Callable[[int, str], None]
    changed: Callable[[], None]  # what there is to be decided, perhaps


class Scaling:
    """The one owner of the number that is wanted."""

    def __init__(
        self,
        order: Order,
        loop: Loop,
        crew: Crew,
        process_max: ProcessMax,
        entrances: Entrances,
        scales: MaxMemory,
        hands: Hands,
    ) -> None:
        self._size = order.size
        self._weighs = order.max_memory
        self._has_residents = bool(order.residents)
        self._loop = loop
        self._crew = crew
        self._process_max = process_max
        self._entrances = entrances
        self._scales = scales
        self._hands = hands
        self._wanted = self._size.at_start
        self._state = sizing.State()
        self._demand = Demand(
            loop, entrances.watched, set_alarm=hands.set_alarm, count=crew.count, look=self._look
        )
        self._ticking: Timer | None = None
        self._failed_starts = 0
        self._respawn: Timer | None = None
        self._over = False

    @property
    def alarm(self) -> int:
        """Is rung by workers, see `Demand`."""
        return self._demand.alarm

    @property
    def is_empty(self) -> bool:
        """There is no ordinary worker, and none is about to come."""
        return not self._crew.ordinary and not self._wanted and not self._over

    def is_full(self) -> bool:
        """Whether those who wait get no further worker."""
        stuck = self._has_residents or self._process_max.is_short or self._failed_starts > 1
        return sizing.is_full(self._size, len(self._crew.ordinary), stuck=stuck)

    def fill(self, level: Level) -> None:
        """Start the workers that are missing; `level` is that of the lines that tell."""
        if self._over:
            return
        try:
            for _ in range(self._missing()):
                self._hands.spawn(level)
        except OSError as error:
            # Too many processes or descriptors, or no memory: that may pass.
            self._failed_starts += 1
            self._hands.log(Level.ERROR, f"cannot start a worker: {error.strerror} ({error.errno})")
            self._fill_later(sizing.respawn_delay(self._failed_starts + 1))
        self._watch_over()

    def open(self) -> None:
        """Somebody waits, and there is no worker."""
        self._wanted = 1
        self.fill(Level.NOTICE)

    def lost(self, *, failed: bool, against_plan: bool) -> None:
        """A worker is gone.

        `failed`: it has not come to serve; `against_plan`: it was asked to leave, but has not left for that.
        """
        self._failed_starts = self._failed_starts + 1 if failed else 0
        if against_plan:
            # Not its decision: like php-fpm, go by what is seen next.
            self._wanted += 1

    def refill(self, *, wanted: bool) -> None:
        """After those who are gone; `wanted`: one at least, as somebody waits."""
        if wanted:
            self._wanted = 1
        self._fill_later(sizing.respawn_delay(self._failed_starts))

    def end(self) -> None:
        """Start nobody any more."""
        self._over = True
        self._demand.rest()

    def _missing(self) -> int:
        if self._respawn:
            return 0
        staying, leaving = len(self._crew.staying), len(self._crew.leaving)
        missing = sizing.missing(self._wanted, staying, leaving, self._size.max_children)
        return self._process_max.share(staying + leaving, missing)

    def _fill_later(self, delay: float) -> None:
        if not self._respawn:
            self._respawn = self._loop.call_later(delay, self._fill_again)

    def _fill_again(self) -> None:
        self._respawn = None
        self.fill(Level.NOTICE)

    def _watch_over(self) -> None:
        """Look again when there may be something to decide."""
        self._hands.changed()
        seen = self._crew.look(self._loop.now())
        # What is about to be started is not to be decided again.
        if not (self._respawn or self._process_max.is_short) and sizing.may_start(
            self._size, seen, self._state
        ):
            self._demand.keep()
        else:
            self._demand.rest()
        if not self._ticking and sizing.has_to_tick(self._size, seen, self._state, self._weighs):
            self._ticking = self._loop.call_later(_TICK, self._tick)

    def _tick(self) -> None:
        self._ticking = None
        if self._over:
            return
        self._crew.end_deaf()
        self._replace_too_large()
        if self._respawn or (self._process_max.is_short and self._entrances.waiting()):
            self._watch_over()
        else:
            if self._process_max.is_short and self._size.kind != sizing.STATIC:
                self._wanted = len(self._crew.staying)  # who waited has gone
            self._carry_out(sizing.tick(self._size, self._crew.look(self._loop.now()), self._state))

    def _look(self) -> bool:
        seen = self._crew.look(self._loop.now(), waiting=self._entrances.waiting())
        plan = sizing.crowd(self._size, seen, self._state)
        self._carry_out(plan)
        return plan.start > 0

    def _carry_out(self, plan: sizing.Plan) -> None:
        self._state = plan.state
        if plan.reached:
            self._hands.count_reached()
        for text in plan.warnings:
            self._hands.log(Level.WARNING, text)
        for text in plan.remarks:
            self._hands.log(Level.DEBUG, text)
        for pid in plan.leave:
            self._wanted -= 1
            self._hands.ask_to_leave(pid, Asked.SPARE)
        self._wanted += plan.start
        self.fill(Level.DEBUG)

    def _replace_too_large(self) -> None:
        pid = self._scales.too_heavy()
        if pid is not None:
            self._crew.ask(pid, Asked.REPLACED)
            # First the other one, if there is room.
            self.fill(Level.NOTICE)
            self._hands.ask_to_leave(pid, Asked.REPLACED)
