"""A manager's side of process.max: claims workers, and starts no more than it was granted."""

from collections.abc import Callable

from kraal.master.budget import Message


class ProcessMax:
    """Without a limit nothing is sent, and everything is granted."""

    def __init__(self, send: Callable[[bytes], None], *, limited: bool) -> None:
        self._send = send
        self._limited = limited
        self._serial = 0
        self._wanted = 0
        self._granted = 0

    @property
    def is_short(self) -> bool:
        """Whether something was claimed and is not granted yet."""
        return self._granted < self._wanted

    def share(self, living: int, more: int) -> int:
        """How many of these may be started now; to be said again whenever that may have changed."""
        if not self._limited:
            return more
        if living + more != self._wanted:
            self._wanted = living + more
            self._granted = min(self._granted, self._wanted)
            self._serial += 1
            self._send(Message(self._serial, self._wanted).to_bytes())
        return max(0, min(more, self._granted - living))

    def hear(self, payload: bytes) -> None:
        """A grant.  What answers an older claim is not true any more."""
        message = Message.from_bytes(payload)
        if message and message.serial == self._serial:
            self._granted = min(message.workers, self._wanted)
