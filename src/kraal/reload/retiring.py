"""Old managers leave once others serve in their place; where nobody does, when nobody waits any more."""

from collections.abc import Sequence

from kraal.master.launcher import Manager
from kraal.master.listeners import Retired
from kraal.master.managers import Managers
from kraal.reload.estate import Socket
from kraal.unix.loop import Loop

_INTERVAL = 0.02
# Clients of a port that was taken out of the configuration may never cease to come.
_PATIENCE = 30.0


class Retiring:
    """The end of a reload."""

    def __init__(self, loop: Loop, managers: Managers) -> None:
        self._loop = loop
        self._managers = managers

    def begin(self, leaving: Sequence[Manager], sockets: Sequence[Socket]) -> None:
        """Let these managers drain; those of the sockets, which nobody takes over, answer who waits first."""
        retired = [Retired(each) for each in sockets]
        busy = {each.pool for each in retired}
        for manager in leaving:
            if manager.pool not in busy:
                self._managers.drain(manager)
        for each in retired:
            crew = [manager for manager in leaving if manager.pool == each.pool]
            self._retire(each, crew, self._loop.now() + _PATIENCE)

    def _retire(self, socket: Retired, crew: Sequence[Manager], deadline: float) -> None:
        if socket.has_waiting() and self._loop.now() < deadline and not self._managers.stopping:
            self._loop.call_later(_INTERVAL, lambda: self._retire(socket, crew, deadline))
            return
        for manager in crew:
            self._managers.drain(manager)
        socket.close()
