"""A nursery, and what it bears: workers, each one native call that serves requests.

Python prepares the nursery, and decides on the rare events for which a worker's native call returns.
"""

import gc
import os
import signal
import traceback
from collections.abc import Iterable
from mmap import mmap
from typing import NoReturn, assert_never

from setproctitle import setproctitle

from kraal.boot import Descriptor, Order
from kraal.errors import Exit
from kraal.fields import Frozen
from kraal.logs.relay import Level, message
from kraal.memory.scoreboard import Scoreboard
from kraal.pages.local_pages import LocalPages
from kraal.php.bridge import Newborn, Outcome, Php, Worker, WorkerSettings
from kraal.unix import confinement, privileges
from kraal.worker import zygote
from kraal.worker.listen_queue import ListenQueue
from kraal.worker.news import Kind, News


class Place(Frozen):
    """What a nursery and its workers inherit from their manager."""

    order: Order
    php: Php
    scoreboard: Scoreboard
    ledger: mmap
    queue: ListenQueue
    line: int  # to the manager, who says which workers are wanted
    window: int  # see insight.py; or -1
    log: int
    alarm: int
    manager: int  # its pid
    access: int  # the pipe to the scribe, if there is one
    news: News  # of residents
    zygote: bool = False  # the nursery has booted the worker script before it bears anybody


def nurse_and_exit(place: Place) -> NoReturn:
    """Bear workers until the manager wants no more.  Ends the child it runs in, and every worker."""
    code = Exit.SOFTWARE
    try:
        setproctitle(f"kraal: pool {place.order.pool} ({'zygote' if place.zygote else 'nursery'})")
        code = _nurse(place)
    except BaseException:
        os.write(2, b"worker failed:\n")
        traceback.print_exc()
    finally:
        os._exit(code)


def _nurse(place: Place) -> Exit:
    """The exit code of the nursery, and of every worker."""
    order = place.order
    # Nothing of Python is allocated on the request path, and the collector would unshare the pages.
    gc.disable()
    if order.privileges.soft_files:
        privileges.lower_files(order.privileges.soft_files)
    # Python's own settings; PHP's are the default actions.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    pages = LocalPages(order, place.scoreboard, place.queue.look, place.php.version)
    shared = (place.scoreboard.memory, place.ledger)
    ordinary = place.php.worker(_settings(place, resident=False), *shared)
    resident = None
    if order.residents:
        resident = place.php.worker(_settings(place, resident=True), *shared)
    script = _zygote(place) if place.zygote else None
    if place.zygote and not script:
        return Exit.SOFTWARE
    prepare = bool(order.apparmor_hat or (order.catch_output and order.client_complaints))
    born = place.php.nurse(place.line, place.window, ordinary, resident, prepare=prepare)
    if born is None:
        return Exit.OK
    outcome = born.outcome
    if outcome is None:
        if not _start(place, born):
            return Exit.SOFTWARE
        outcome = born.worker.serve()
    return _live(place, born, pages, outcome)


def _zygote(place: Place) -> Worker | None:
    """Boot the worker script; what is returned has to stay as long as it runs."""
    if not _enter_hat(place):
        return None
    script = place.php.zygote(_settings(place, resident=True), place.ledger)
    return script if zygote.boot(script, place.news, place.manager) else None


def _enter_hat(place: Place) -> bool:
    if place.order.apparmor_hat:
        try:
            confinement.enter_hat(place.order.apparmor_hat)
        except OSError as error:
            os.write(place.log, message(Level.ERROR, error.strerror or ""))
            return False
    return True


def _start(place: Place, born: Newborn) -> bool:
    """What only Python can do for a worker that begins."""
    if born.resident:
        setproctitle(f"kraal: pool {place.order.pool} (resident)")
    if not place.zygote and not _enter_hat(place):
        return False
    born.worker.start()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if place.order.catch_output:
        # php-fpm's way to tell; the master has said the same when it started.
        for text in place.order.client_complaints:
            os.write(2, f"ERROR: {text}\n".encode("utf-8", "backslashreplace"))
    return not born.resident or _boot(born.worker, place.news)


def _live(place: Place, born: Newborn, pages: LocalPages, outcome: Outcome) -> Exit:
    worker, news = born.worker, place.news if born.resident else None
    while True:
        match outcome:
            case Outcome.LOCAL_PAGE:
                worker.answer(pages.answer(worker.page_request()))
            case Outcome.SCRIPT_ENDED if news:
                news.tell(Kind.ENDED, worker.script_end())
                if place.zygote:
                    _ask_oneself_to_leave()
                elif not _boot(worker, news):
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
        outcome = worker.serve()


def _ask_oneself_to_leave() -> None:
    """Another one is forked sooner than the script boots; who was let in is answered all the same."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGQUIT})
    signal.raise_signal(signal.SIGQUIT)


def _boot(worker: Worker, news: News) -> bool:
    """Have the worker script come to its first wait, and tell the manager."""
    booted = worker.boot()
    if booted:
        news.tell(Kind.BOOTED)
    else:
        news.tell(Kind.FAILED, worker.script_end())
    return booted


def _settings(place: Place, *, resident: bool) -> WorkerSettings:
    order = place.order
    return WorkerSettings(
        manager=place.manager,
        listener=Descriptor.LISTENER,
        poke=Descriptor.POKE,
        handoff_give=Descriptor.GIVE,
        handoff_take=Descriptor.RESIDENT_TAKE if resident else Descriptor.TAKE,
        alarm=place.alarm,
        log=place.log,
        slot_count=order.slots,
        catch_output=order.catch_output,
        log_level=order.log_level,
        log_limit=order.log_limit,
        allowed_clients=order.allowed_clients,
        kept_timeout=order.kept_timeout,
        header_timeout=order.header_timeout,
        body_timeout=order.body_timeout,
        body_buffer=order.body_buffer,
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
        bounded=order.bounded,
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
