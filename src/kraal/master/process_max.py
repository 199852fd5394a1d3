"""The master's side of process.max: hears what managers claim, and tells them what they may have."""

from collections.abc import Callable

from kraal.config.model import Config
from kraal.master.budget import Budget, Claim, Message
from kraal.unix.process import Pid

# php-fpm's, which says it once as well.
_REACHED = (
    "The maximum number of processes has been reached. Please review your configuration and consider raising"
    " 'process.max'"
)


class ProcessMax:
    """Without a limit it does nothing, and nobody claims anything.

    Nobody gets anything before `open`: a master that may take over does not know yet what others have.
    """

    def __init__(
        self, config: Config, send: Callable[[Pid, bytes], None], warn: Callable[[str], None]
    ) -> None:
        self._limited = config.global_.process_max > 0
        # Residents do not ask: without them their pool would not serve.
        residents = sum(pool.residents for pool in config.pools)
        self._budget = Budget(config.global_.process_max - residents)
        self._most = {pool.name: pool.pm_max_children for pool in config.pools}
        self._send = send
        self._warn = warn
        self._warned = False
        self._is_open = False

    def open(self) -> None:
        """From now on workers are granted."""
        self._is_open = True
        self._serve()

    def __getitem__(self, manager: Pid) -> Claim:
        """For whoever takes over."""
        return self._budget[manager]

    def take(self, manager: Pid, claim: Claim) -> None:
        """Go on with a claim."""
        if self._limited and claim != Claim():
            self._budget.restore(manager, claim)

    def hear(self, manager: Pid, pool: str, payload: bytes) -> None:
        """Whoever claims may be a stranger: a pool never gets more than it may have at most."""
        message = Message.from_bytes(payload)
        if not self._limited or not message:
            return
        before = self._budget[manager]
        most = before.wanted if before.leaving else self._most.get(pool, 0)
        self._budget.claim(manager, message.serial, min(message.workers, most))
        self._serve(manager)

    def repeat(self, manager: Pid) -> None:
        """It has missed what it was told: tell it what is so now."""
        if self._budget[manager] != Claim():
            self._tell(manager)

    def retire(self, manager: Pid) -> None:
        """It is to leave."""
        self._budget.retire(manager)
        self._serve()

    def bury(self, manager: Pid, orphans: int) -> None:
        """It has ended, and left so many processes."""
        self._budget.bury(manager, orphans)
        self._serve()

    @property
    def orphans(self) -> int:
        """For whoever takes over: how many of those that managers have left count."""
        return self._budget.orphans

    def take_orphans(self, number: int) -> None:
        """Go on with these."""
        if self._limited:
            self._budget.take_orphans(number)

    def count_orphans(self, living: int) -> None:
        """There are so many left of all."""
        self._budget.count_orphans(living)
        self._serve()

    def _serve(self, answered: Pid | None = None) -> None:
        if not self._limited or not self._is_open:
            return
        for manager in {*self._budget.serve(), *([answered] if answered else [])}:
            self._tell(manager)
        if self._budget.is_exceeded and not self._warned:
            self._warned = True
            self._warn(_REACHED)

    def _tell(self, manager: Pid) -> None:
        claim = self._budget[manager]
        self._send(manager, Message(claim.serial, claim.granted).to_bytes())
