"""A worker: one native call that serves requests, and the rare events for which it returns."""

import gc
import os
import signal
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from mmap import mmap
from typing import NoReturn, assert_never

from setproctitle import setproctitle

from kraal import sizing
from kraal.boot import Descriptor, Order
from kraal.bridge import Outcome, Php, Worker, WorkerSettings
from kraal.errors import Exit
from kraal.listenqueue import ListenQueue
from kraal.localpages import LocalPages
from kraal.logs.relay import Level, message
from kraal.news import Kind, News
from kraal.scoreboard import Scoreboard
from kraal.unix import confinement, privileges


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker inherits from its manager."""

    order: Order
    php: Php
    scoreboard: Scoreboard
    ledger: mmap
    queue: ListenQueue
    slot: int
    log: int
    alarm: int
    manager: int  # its pid
    unfinished: mmap | None  # see capture.py
    access: int  # the pipe to the scribe, if there is one
    news: News | None = None  # of a resident


def serve_and_exit(place: Place, mask: set[int | signal.Signals]) -> NoReturn:
    """Serve until told to leave.  Runs in a fresh child, which it ends.

    `mask` is the signal mask to go back to once SIGQUIT has its meaning.
    """
    code = Exit.SOFTWARE
    try:
        code = _serve(place, mask)
    except BaseException:
        os.write(2, b"worker failed:\n")
        traceback.print_exc()
    finally:
        os._exit(code)


def _serve(place: Place, mask: set[int | signal.Signals]) -> Exit:
    setproctitle(f"kraal: pool {place.order.pool}{' (resident)' if place.news else ''}")
    # Nothing of Python is allocated on the request path, and the collector would unshare the pages.
    gc.disable()
    if place.order.apparmor_hat:
        try:
            confinement.enter_hat(place.order.apparmor_hat)
        except OSError as error:
            os.write(place.log, message(Level.ERROR, error.strerror or ""))
            return Exit.SOFTWARE
    if place.order.privileges.soft_files:
        privileges.lower_files(place.order.privileges.soft_files)
    # Python's own settings; PHP's are the default actions.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    pages = LocalPages(place.order, place.scoreboard, place.queue.look, place.php.version)
    worker = place.php.worker(_settings(place), place.scoreboard.memory, place.ledger)
    news = place.news
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if place.order.catch_output:
        # php-fpm's way to tell; the master has said the same when it started.
        for text in place.order.client_complaints:
            os.write(2, f"ERROR: {text}\n".encode("utf-8", "backslashreplace"))
    if news and not _boot(worker, news):
        return Exit.SOFTWARE
    while True:
        outcome = worker.serve()
        match outcome:
            case Outcome.LOCAL_PAGE:
                worker.answer(pages.answer(worker.page_request()))
            case Outcome.SCRIPT_ENDED if news:
                news.tell(Kind.ENDED, worker.script_end())
                if not _boot(worker, news):
                    return Exit.SOFTWARE
            case Outcome.SPENT if news:
                news.tell(Kind.SPENT)
            case Outcome.STOPPED | Outcome.SPENT:
                place.php.stop()
                return Exit.OK
            case Outcome.LISTENER_LOST | Outcome.PHP_FAILED | Outcome.SCRIPT_ENDED:
                return Exit.SOFTWARE
            case _:
                assert_never(outcome)


def _boot(worker: Worker, news: News) -> bool:
    """Have the worker script come to its first wait, and tell the manager."""
    booted = worker.boot()
    if booted:
        news.tell(Kind.BOOTED)
    else:
        news.tell(Kind.FAILED, worker.script_end())
    return booted


def _settings(place: Place) -> WorkerSettings:
    order = place.order
    resident = place.news is not None
    requests = order.resident_max_requests if resident else order.max_requests
    return WorkerSettings(
        manager=place.manager,
        listener=Descriptor.LISTENER,
        poke=Descriptor.POKE,
        handoff_give=Descriptor.GIVE,
        handoff_take=Descriptor.RESIDENT_TAKE if resident else Descriptor.TAKE,
        alarm=place.alarm,
        log=place.log,
        slot=place.slot,
        slot_count=order.slots,
        catch_output=order.catch_output,
        unfinished=place.unfinished,
        log_level=order.log_level,
        log_limit=order.log_limit,
        allowed_clients=order.allowed_clients,
        max_requests=sizing.spread(requests, order.max_requests_jitter, _chance()),
        terminate_timeout=order.terminate_timeout,
        extensions=order.extensions,
        php_values=None if order.php_values is None else " ".join(order.php_values),
        body_files=None if order.body_files is None else _real_names(order.body_files),
        status_path=order.status_path,
        ping_path=order.ping_path,
        script=order.script if resident else None,
        match=_match(order),
        handoff_other=Descriptor.GIVE if resident else Descriptor.RESIDENT_GIVE,
        pool=order.pool,
        policy=order.policy,
        access=order.access,
        access_pipe=place.access,
    )


def _match(order: Order) -> str | None:
    """The scripts whose requests are for residents."""
    if order.script is None:
        return None
    # A web server may send either name.
    return "\n".join(dict.fromkeys([order.script, os.path.realpath(order.script), *order.match]))


def _real_names(directories: Iterable[str]) -> str:
    """As the kernel names them, from inside the pool's root."""
    return "\n".join(os.path.join(os.path.realpath(directory), "") for directory in directories)


def _chance() -> int:
    # Not by `random`, whose state would be the same in all workers, and which is slow to import.
    return int.from_bytes(os.urandom(4))
