"""The native library, opened: PHP in this process.

Only a pool manager and its workers import this; a master never maps libphp.
"""

import os
from collections.abc import Callable, Sequence
from enum import IntEnum
from mmap import mmap
from typing import Any, NoReturn

from kraal import __version__
from kraal._native import _bridge
from kraal.boot import Order
from kraal.errors import Exit, StartError
from kraal.fields import Frozen
from kraal.logs.access import Access
from kraal.memory.layout import Layout
from kraal.memory.ledger import Ending
from kraal.memory.scoreboard import note_layout
from kraal.pages.local_pages import PageRequest
from kraal.php import paths

_ffi: Any = _bridge.ffi

_ERROR_SIZE = 1024  # bytes of the sentence that says why PHP did not start


# Makes a worker look at what it was told by `end_request`.
OVERTIME_SIGNAL: int = _ffi.integer_const("KRAAL_OVERTIME_SIGNAL")
_DISMISSED: int = _ffi.integer_const("KRAAL_DISMISSED")
_SERVED: int = _ffi.integer_const("KRAAL_SERVED")


class Outcome(IntEnum):
    """Why `serve` came back; see enum kraal_outcome."""

    STOPPED = 0
    SPENT = 1
    LOCAL_PAGE = 2
    LISTENER_LOST = 3
    PHP_FAILED = 4
    SCRIPT_ENDED = 5


class PhpPage(IntEnum):
    """What PHP can print about itself; see enum kraal_php_page."""

    VERSION = 0
    MODULES = 1
    INFO = 2
    SETTINGS = 3


def _refuse(sentence: str) -> NoReturn:
    raise StartError(sentence, exit=Exit.SOFTWARE)


def _open_libphp(build: paths.Build) -> Any:
    # Opened globally: PHP's shared extensions, OPcache included, look up zend_* in the global
    # scope and do not name libphp as a dependency.  Opened locally, all of them fail to load.
    try:
        return _ffi.dlopen(build.libphp, _ffi.RTLD_NOW | _ffi.RTLD_GLOBAL)
    except OSError as error:
        _refuse(f"libphp cannot be loaded ({error}): install the package libphp{build.version}-embed")


def load(build: paths.Build = paths.DEFAULT) -> tuple[Any, Any]:
    """Open libphp and the library that was built for it; both close when nobody holds them any more.

    Raises StartError with one sentence.
    """
    php = _open_libphp(build)
    # The generated module lies beside the library it describes, installed and editable alike.
    # (By os.path: importing pathlib would cost every pool some milliseconds.)
    name = f"libkraal-php{build.api}.so"
    path = os.path.join(os.path.dirname(_bridge.__file__), name)
    try:
        return php, _ffi.dlopen(path, _ffi.RTLD_NOW)
    except OSError as error:
        _refuse(f"{name} and {build.libphp} do not fit each other ({error}): reinstall kraal")


class Php:
    """PHP, started once, in this process."""

    def __init__(self, version: str | None = None) -> None:
        """Load a version, as in 8.2; None: the first that kraal was built for.  Raises StartError."""
        build = paths.BUILDS.get(version or paths.DEFAULT.version)
        if build is None:
            _refuse(f"kraal is not built for PHP {version}: see docs/php-versions.md")
        self._build = build
        self._libphp, self._library = load(build)

    def start(
        self,
        *,
        ini_path: str | None,
        ini_ignore: bool,
        ini_entries: str,
        executable: str,
        extended_info: bool = False,
    ) -> None:
        """Run PHP's module start-up.  Raises StartError."""
        path = _text(ini_path)
        entries = _text(ini_entries)
        program = _text(executable or None)
        settings = _ffi.new(
            "struct kraal_php_settings *",
            {
                "ini_path": path,
                "ini_ignore": ini_ignore,
                "extended_info": extended_info,
                "ini_entries": entries,
                "executable": program,
            },
        )
        error = _ffi.new("char[]", _ERROR_SIZE)
        if self._library.kraal_php_start(settings, error, _ERROR_SIZE) < 0:
            _refuse(_ffi.string(error).decode("utf-8", "backslashreplace"))

    def lock_ini(self, name: str) -> bool:
        """Let neither scripts nor web servers change an ini entry; False if PHP has no such entry."""
        return bool(self._library.kraal_php_lock_ini(name.encode()) == 0)

    def has_opcache(self) -> bool:
        """Whether OPcache is loaded."""
        return bool(self._library.kraal_php_has_zend_extension(b"Zend OPcache"))

    def print(self, page: PhpPage) -> None:
        """Print to standard output."""
        self._library.kraal_php_print(int(page), __version__.encode())

    def layout(self, scoreboard: mmap) -> Layout:
        """Where things stand in the workers; noted in the scoreboard, too, for whoever looks from outside."""
        return note_layout(scoreboard, self._library.kraal_php_layout)

    def stop(self) -> None:
        """Run PHP's module shutdown."""
        self._library.kraal_php_stop()

    def vacate(self, scoreboard: mmap, slot: int) -> None:
        """Take back the slot of a worker that is gone, whatever it left in it."""
        self._library.kraal_slot_vacate(_ffi.from_buffer(scoreboard), slot)

    def end_request(self, scoreboard: mmap, slot: int, request: int, step: int) -> None:
        """Say which request the worker in a slot is to end, and how.  OVERTIME_SIGNAL makes it look."""
        self._library.kraal_slot_overtime(_ffi.from_buffer(scoreboard), slot, request, step)

    def set_alarm(self, scoreboard: mmap, active: int) -> None:
        """Have the worker that makes it so many active ones write to the alarm, once; 0: none."""
        self._library.kraal_alarm_set(_ffi.from_buffer(scoreboard), active)

    def write_lines(self, scoreboard: mmap, pipe: int, files: int) -> None:
        """Be a scribe until there is nothing left to write."""
        self._library.kraal_scribe(pipe, files, _ffi.from_buffer(scoreboard))

    def note_queue(self, scoreboard: mmap, waiting: int, limit: int) -> None:
        """Note how many connections wait, and how many can."""
        self._library.kraal_queue_note(_ffi.from_buffer(scoreboard), waiting, limit)

    def note_opcache(self, scoreboard: mmap) -> None:
        """Note how OPcache is."""
        self._library.kraal_opcache_note(_ffi.from_buffer(scoreboard))

    @property
    def version(self) -> tuple[int, int]:
        """Major and minor."""
        major, minor = map(int, self._build.version.split("."))
        return major, minor

    def powered_by(self) -> bytes:
        """The header that PHP puts in front of every response, if it is to."""
        return _string(self._library.kraal_php_powered_by()).encode()

    def note_ending(self, ledger: mmap, why: Ending) -> None:
        """Count a worker that has ended."""
        self._library.kraal_ledger_ending(_ffi.from_buffer(ledger), int(why))

    def answered_log(self, order: Order, pipe: int, scoreboard: mmap) -> Callable[[int, bytes, int], None]:
        """What writes the access log's line of a request that this process, a manager, has answered itself.

        It takes the descriptor of the connection, the params as FastCGI has them, and the status.  `pipe`
        leads to the scribe.
        """
        return AnsweredLog(self._library, order, pipe, scoreboard).note

    def worker(self, settings: "WorkerSettings", scoreboard: mmap, ledger: mmap) -> "Worker":
        """What is to be a worker."""
        return Worker(self._library, settings, scoreboard, ledger)

    def zygote(self, settings: "WorkerSettings", ledger: mmap) -> "Worker":
        """Become a zygote, which boots, but does not serve."""
        script = Worker(self._library, settings, None, ledger)
        if self._library.kraal_zygote_start(script.struct) < 0:
            raise OSError(_ffi.errno, "there is no memory for another stack")
        return script

    def nurse(
        self, line: int, window: int, ordinary: "Worker", resident: "Worker | None", *, prepare: bool
    ) -> "Newborn | None":
        """Bear workers; see struct kraal_nursery.  Returns in each of them, and None when it is over."""
        fields = {"line": line, "window": window, "prepare": prepare, "ordinary": ordinary.struct}
        nursery = _ffi.new("struct kraal_nursery *", fields)
        if resident:
            nursery.resident = resident.struct
        birth, outcome = _ffi.new("struct kraal_birth *"), _ffi.new("enum kraal_outcome *")
        nursed = self._library.kraal_nurse(nursery, birth, outcome)
        if nursed == _DISMISSED:
            return None
        served = nursed == _SERVED
        worker = resident if resident and birth.resident else ordinary
        return Newborn(worker, worker is resident, Outcome(outcome[0]) if served else None)


class WorkerSettings(Frozen, kw_only=True):
    """See struct kraal_worker."""

    manager: int
    listener: int
    poke: int
    handoff_give: int
    handoff_take: int
    alarm: int
    log: int
    slot_count: int
    catch_output: bool
    log_level: int
    log_limit: int
    # (hexadecimal IPv6 or mapped IPv4 address, prefix length); None: every peer
    allowed_clients: Sequence[tuple[str, int]] | None
    kept_timeout: int
    header_timeout: int
    body_timeout: int
    body_buffer: int
    terminate_timeout: int
    extensions: str
    php_values: str | None
    body_files: str | None
    status_path: str | None
    ping_path: str | None
    script: str | None
    match: str | None
    handoff_other: int
    pool: str
    policy: str
    bounded: bool
    access: Access | None
    access_pipe: int


_TEXTS = (
    "extensions",
    "php_values",
    "body_files",
    "status_path",
    "ping_path",
    "script",
    "match",
    "pool",
    "policy",
)


def birth(slot: int, max_requests: int, *, resident: bool) -> bytes:
    """What a nursery is told of a worker that is wanted."""
    fields = {"slot": slot, "resident": resident, "max_requests": max_requests}
    return bytes(_ffi.buffer(_ffi.new("struct kraal_birth *", fields)))


class Worker:
    """The native serve loop of a process."""

    def __init__(self, library: Any, settings: WorkerSettings, scoreboard: mmap | None, ledger: mmap) -> None:
        self._library = library
        everybody = settings.allowed_clients is None
        networks = [
            {"address": bytes.fromhex(at), "prefix": size} for at, size in settings.allowed_clients or ()
        ]
        texts = {name: _text(getattr(settings, name)) for name in _TEXTS}
        allowed = _ffi.NULL if everybody else _ffi.new("struct kraal_network[]", networks)
        board = _ffi.NULL if scoreboard is None else _ffi.from_buffer(scoreboard)
        book = _ffi.from_buffer(ledger)
        access, *beneath = _access(settings.access, settings.access_pipe, settings.log_limit)
        # C keeps pointers to all of these, so they live as long as the worker.
        self._kept = (texts, allowed, board, book, access, beneath)
        self.struct = _ffi.new(
            "struct kraal_worker *",
            {
                "manager": settings.manager,
                "listener": settings.listener,
                "poke": settings.poke,
                "handoff_give": settings.handoff_give,
                "handoff_take": settings.handoff_take,
                "alarm": settings.alarm,
                "log": settings.log,
                "catch_output": settings.catch_output,
                "log_level": settings.log_level,
                "log_limit": settings.log_limit,
                "scoreboard": board,
                "ledger": book,
                "slot_count": settings.slot_count,
                "allowed_count": len(networks),
                "allowed": allowed,
                "idle_timeout": settings.kept_timeout,
                "header_timeout": settings.header_timeout,
                "body_timeout": settings.body_timeout,
                "body_buffer": settings.body_buffer,
                "terminate_timeout": settings.terminate_timeout,
                "access": access,
                "handoff_other": settings.handoff_other,
                "bounded": settings.bounded,
                **texts,
            },
        )

    def start(self) -> None:
        """Become this worker.  Raises OSError."""
        if self._library.kraal_worker_start(self.struct) < 0:
            raise OSError(_ffi.errno, "the worker cannot watch its listener")

    def boot(self) -> bool:
        """Run the worker script up to its first wait; False if it ended before."""
        return bool(self._library.kraal_boot() == 0)

    def script_end(self) -> str:
        """Why the worker script has ended."""
        return _string(self._library.kraal_script_end())

    def serve(self) -> Outcome:
        """Serve until something happens that Python decides on."""
        return Outcome(self._library.kraal_serve(self.struct))

    def page_request(self) -> PageRequest:
        """What LOCAL_PAGE was about."""
        page = _ffi.new("struct kraal_page_request *")
        self._library.kraal_page_get(page)
        return PageRequest(*(_string(text) for text in (page.path, page.method, page.query)))

    def answer(self, response: bytes) -> None:
        """Answer LOCAL_PAGE."""
        self._library.kraal_answer(response, len(response))


class Newborn(Frozen):
    """What a process has become that a nursery has borne."""

    worker: Worker
    resident: bool
    outcome: Outcome | None  # of its first `serve`; None: it has not started


class AnsweredLog:
    """The access log of a pool, for its manager."""

    def __init__(self, library: Any, order: Order, pipe: int, scoreboard: mmap) -> None:
        self._library = library
        name, board = _text(order.pool), _ffi.from_buffer(scoreboard)
        access, *beneath = _access(order.access, pipe, order.log_limit)
        self._kept = (name, board, access, beneath)
        fields = {"access": access, "pool": name, "manager": os.getppid(), "scoreboard": board}
        self._worker = _ffi.new("struct kraal_worker *", fields)

    def note(self, fd: int, pairs: bytes, status: int) -> None:
        """Write a line."""
        self._library.kraal_log_answered(self._worker, fd, pairs, len(pairs), status)


def _access(access: Access | None, pipe: int, limit: int) -> list[Any]:
    """A struct kraal_access, and what it points to."""
    if access is None:
        return [_ffi.NULL]
    texts = [_text(text) for _item, _form, text in access.steps]
    steps = [
        {"item": item, "form": form, "text": text}
        for (item, form, _), text in zip(access.steps, texts, strict=True)
    ]
    array = _ffi.new("struct kraal_log_step[]", steps)
    suppressed = _text("".join(f"{path}\n" for path in access.suppressed))
    fields = {
        "pipe": pipe,
        "steps": array,
        "step_count": len(steps),
        "json": access.json,
        "limit": limit,
        "suppressed": suppressed,
    }
    return [_ffi.new("struct kraal_access *", fields), array, suppressed, texts]


def _text(value: str | None) -> Any:
    return _ffi.NULL if value is None else _ffi.new("char[]", value.encode("utf-8", "surrogateescape"))


def _string(text: Any) -> str:
    return "" if text == _ffi.NULL else _ffi.string(text).decode("utf-8", "replace")
