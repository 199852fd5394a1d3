"""Decide who may have how many workers where all pools together have a limit (process.max).

Arithmetic only.  A manager claims a number of workers in all, with a serial; it is granted what there is, and
the rest when somebody gives back.  A manager believes a grant only if it answers its last claim, so a claim
that was lowered on the way cannot be taken for one that was granted.
"""

from collections.abc import Iterator
from struct import Struct
from typing import ClassVar

from kraal.fields import Frozen, replace
from kraal.unix.process import Pid


class Message(Frozen):
    """What managers and master write to each other: a claim, or a grant with the claim's serial."""

    serial: int
    workers: int

    _FORM: ClassVar = Struct("!II")

    def to_bytes(self) -> bytes:
        """For the channel."""
        return self._FORM.pack(self.serial, self.workers)

    @classmethod
    def from_bytes(cls, payload: bytes) -> "Message | None":
        """Undo `to_bytes`; None if it is none."""
        return cls(*cls._FORM.unpack(payload)) if len(payload) == cls._FORM.size else None


class Claim(Frozen):
    """What a manager wants, and what it may have; `leaving` ones get no more."""

    serial: int = 0
    wanted: int = 0
    granted: int = 0
    leaving: bool = False

    @property
    def is_waiting(self) -> bool:
        """Whether it may get more."""
        return not self.leaving and self.granted < self.wanted


class Budget:
    """The one owner of the table of claims; of those who wait the first is served first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._orphans = 0
        self._claims: dict[Pid, Claim] = {}

    def __getitem__(self, manager: Pid) -> Claim:
        return self._claims.get(manager, Claim())

    @property
    def is_exceeded(self) -> bool:
        """Whether those who stay want more than there ever is."""
        return sum(each.wanted for each in self._claims.values() if not each.leaving) > self._most

    def claim(self, manager: Pid, serial: int, wanted: int) -> None:
        """This manager has, or wants, so many workers in all.  What it gives back may be for others."""
        before = self[manager]
        claim = replace(before, serial=serial, wanted=wanted, granted=min(before.granted, wanted))
        self.restore(manager, claim)

    def restore(self, manager: Pid, claim: Claim) -> None:
        """Go on with a claim that was heard elsewhere."""
        if not self[manager].is_waiting:
            self._claims.pop(manager, None)  # to the end of the queue
        self._claims[manager] = claim

    def retire(self, manager: Pid) -> None:
        """It is to leave, and gets no more."""
        if manager in self._claims:
            self._claims[manager] = replace(self._claims[manager], leaving=True)

    def bury(self, manager: Pid, orphans: int) -> None:
        """It has ended, and has left so many processes; those that were never granted do not count."""
        gone = self._claims.pop(manager, Claim())
        self._orphans += min(orphans, gone.granted)

    @property
    def orphans(self) -> int:
        """How many processes of managers that have ended count."""
        return self._orphans

    def take_orphans(self, number: int) -> None:
        """So many have come from elsewhere."""
        self._orphans += number

    def count_orphans(self, living: int) -> None:
        """There are so many of all managers together."""
        self._orphans = min(self._orphans, living)

    def serve(self) -> Iterator[Pid]:
        """Grant what there is.  Yields those who got something."""
        room = self._most - self._orphans - sum(each.granted for each in self._claims.values())
        for manager, claim in self._claims.items():
            if room <= 0:
                return
            if claim.is_waiting:
                more = min(claim.wanted - claim.granted, room)
                room -= more
                self._claims[manager] = replace(claim, granted=claim.granted + more)
                yield manager
