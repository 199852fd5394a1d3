"""A zygote: a nursery in which the worker script has been booted, and that bears residents only.

What the boot has made stands in memory once for all of them.  A zygote serves nobody, has no slot, and runs
nothing of PHP after the boot: a birth takes a few milliseconds, and finds the same every time.
"""

import os
import signal

from kraal.php.bridge import Worker
from kraal.unix import process
from kraal.worker.news import Kind, News

_THREADS = "it has started threads, which processes that are forked would not have (see worker.fork)"


def boot(script: Worker, news: News, manager: int) -> bool:
    """Have the worker script come to its first wait, and tell the manager.  `manager` is its pid."""
    process.die_with_parent(signal.SIGKILL)
    if os.getppid() != manager:
        return False
    # What the script starts inherits them; and SIGTERM ends a zygote at any time.
    signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    blocked = signal.pthread_sigmask(signal.SIG_SETMASK, ())
    failure = None if script.boot() else script.script_end()
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked - {signal.SIGTERM})
    if failure is None and process.threads() > 1:
        failure = _THREADS
    news.tell(Kind.FAILED if failure else Kind.BOOTED, failure or "")
    return failure is None
