"""The error log: one event, one line, whoever caused it, wherever it goes."""

import json
import os
import re
import socket
import stat
import syslog
from collections.abc import Iterator
from pathlib import Path

import pytest

from kraal.config.model import LogFormat, LogLevel
from kraal.errors import Exit, StartError
from kraal.logs.error import ErrorLog, Origin, Speaker

LINE = re.compile(r"\[\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d:\d\d\] (DEBUG|NOTICE|WARNING|ERROR|ALERT): .*")
WORKER = Speaker("www", 7, "stderr")
RAW = Speaker("www", 7, "stderr", decorated=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "error.log"


@pytest.fixture
def log(path: Path) -> ErrorLog:
    log = ErrorLog()
    log.echo = False
    log.open(str(path))
    return log


def texts(path: Path) -> list[str]:
    """The lines of the log without their time."""
    lines = path.read_text().splitlines()
    assert all(LINE.fullmatch(line) for line in lines), lines
    return [line.partition("] ")[2] for line in lines]


# ---------------------------------------------------------------- lines


def test_line_is_appended_to_the_file(log: ErrorLog, path: Path) -> None:
    log.notice("first")
    log.error("second")

    assert texts(path) == ["NOTICE: first", "ERROR: second"]


def test_line_below_the_level_is_not_written(log: ErrorLog, path: Path) -> None:
    log.level = LogLevel.ERROR
    log.debug("no")
    log.warning("no")
    log.error("yes")

    assert texts(path) == ["ERROR: yes"]


def test_text_that_is_no_unicode_is_written(log: ErrorLog, path: Path) -> None:
    log.notice("path /\udcff")

    assert b"path /\\udcff\n" in path.read_bytes()


def test_level_debug_tells_who_speaks(log: ErrorLog, path: Path) -> None:
    log.level = LogLevel.DEBUG
    log.notice("mine")
    log.relay(LogLevel.NOTICE, "another's", Origin(7))

    mine, others = path.read_text().splitlines()
    here = test_level_debug_tells_who_speaks.__name__
    assert re.fullmatch(rf"\[.*\.\d{{6}}\] NOTICE: pid {os.getpid()}, {here}\(\), line \d+: mine", mine)
    assert others.endswith("] NOTICE: pid 7, (null)(), line 0: another's")


def test_other_levels_do_not(log: ErrorLog, path: Path) -> None:
    log.relay(LogLevel.NOTICE, "text", Origin(7))

    assert texts(path) == ["NOTICE: text"]


def test_long_line_goes_on_in_the_next(log: ErrorLog, path: Path) -> None:
    log.limit(512, buffering=True)
    log.notice("x" * 1000)

    lines = path.read_text().splitlines(keepends=True)
    assert [len(line) for line in lines[:-1]] == [512, 512]
    assert all(LINE.fullmatch(line.rstrip("\n")) for line in lines)
    assert "".join(line.partition("NOTICE: ")[2].rstrip("\n") for line in lines) == "x" * 1000


# ---------------------------------------------------------------- what workers say


def test_worker_is_quoted(log: ErrorLog, path: Path) -> None:
    log.say(WORKER, b"one\ntwo\r\n\nthree\n")

    assert texts(path) == [
        f'WARNING: [pool www] child 7 said into stderr: "{word}"' for word in ("one", "two", "three")
    ]


def test_worker_that_is_not_decorated_is_not_changed(log: ErrorLog, path: Path) -> None:
    log.say(RAW, b"\x00\xff\r\n\n{}\n")

    assert path.read_bytes() == b"\x00\xff\r\n{}\n"


def test_decorated_worker_is_said_at_level_warning(log: ErrorLog, path: Path) -> None:
    log.level = LogLevel.ERROR
    log.say(WORKER, b"decorated\n")
    log.say(RAW, b"raw\n")

    assert path.read_text() == "raw\n"


def test_line_of_a_worker_may_come_in_pieces(log: ErrorLog, path: Path) -> None:
    log.say(WORKER, b"one ")
    log.say(WORKER, b"line\nand")
    assert len(texts(path)) == 1

    log.say(WORKER, b"", closed=True)

    assert texts(path) == [
        'WARNING: [pool www] child 7 said into stderr: "one line"',
        'WARNING: [pool www] child 7 said into stderr: "and", pipe is closed',
    ]


def test_pieces_of_two_workers_do_not_mix(log: ErrorLog, path: Path) -> None:
    log.limit(1024, buffering=False)
    other = Speaker("shop", 8, "stdout")
    for _ in range(2):
        log.say(WORKER, b"mine ")
        log.say(other, b"theirs ")
    log.notice("own")

    assert texts(path) == [
        'WARNING: [pool www] child 7 said into stderr: "mine "',
        'WARNING: [pool shop] child 8 said into stdout: "theirs "',
    ] * 2 + ["NOTICE: own"]


def test_without_buffering_a_piece_is_there_at_once(log: ErrorLog, path: Path) -> None:
    log.limit(1024, buffering=False)
    log.say(RAW, b"progress: .")
    log.say(RAW, b".")

    assert path.read_text() == "progress: .."


# ---------------------------------------------------------------- destinations


def test_without_a_file_lines_go_to_standard_error(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    ErrorLog().notice("hello")

    assert capfdbinary.readouterr().err.endswith(b"NOTICE: hello\n")


def test_until_the_master_is_up_lines_go_to_file_and_standard_error(
    log: ErrorLog, path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    log.echo = True
    log.notice("twice")

    assert capfdbinary.readouterr().err == path.read_bytes() != b""


def test_lines_that_are_not_recorded_go_to_standard_error_alone(
    log: ErrorLog, path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    log.record = False
    log.echo = True
    log.notice("seen")

    assert b"seen" in capfdbinary.readouterr().err
    assert path.read_bytes() == b""


def test_file_that_is_standard_error_gets_a_line_once(
    log: ErrorLog, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    log.open("/dev/stderr")
    log.echo = True
    log.notice("once")

    assert capfdbinary.readouterr().err.count(b"once") == 1


def test_log_can_be_read_by_its_owner_only(log: ErrorLog, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_log_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    path = f"{tmp_path}/missing/error.log"

    with pytest.raises(StartError) as caught:
        ErrorLog().open(path)

    assert str(caught.value) == f"failed to open error_log ({path}): No such file or directory (2)"
    assert caught.value.exit == Exit.CONFIG


def test_log_opened_again_goes_to_the_new_file(log: ErrorLog, path: Path, tmp_path: Path) -> None:
    log.say(WORKER, b"unfinished")
    path.rename(tmp_path / "old.log")
    log.reopen()
    log.notice("new")

    assert texts(tmp_path / "old.log") == ['WARNING: [pool www] child 7 said into stderr: "unfinished"']
    assert texts(path) == ["NOTICE: new"]


def test_log_that_cannot_be_opened_again_goes_on_as_before(log: ErrorLog, path: Path) -> None:
    path.rename(path.with_name("old.log"))
    path.mkdir()
    with pytest.raises(StartError):
        log.reopen()
    log.notice("still here")

    assert texts(path.with_name("old.log")) == ["NOTICE: still here"]


# ---------------------------------------------------------------- syslog


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[object, ...]]]:
    """What would have gone to the system's log, which belongs to nobody's test."""
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(syslog, "closelog", lambda: None)
    monkeypatch.setattr(syslog, "openlog", lambda *given: calls.append(given))
    monkeypatch.setattr(syslog, "syslog", lambda *given: calls.append(given))
    return calls  # type: ignore[return-value]


@pytest.fixture
def system(sent: list[tuple[object, ...]]) -> ErrorLog:
    log = ErrorLog()
    log.echo = False
    log.open_syslog("php-fpm", syslog.LOG_LOCAL3)
    assert sent.pop() == ("php-fpm", syslog.LOG_PID | syslog.LOG_CONS, syslog.LOG_LOCAL3)
    return log


def test_syslog_gets_lines_with_their_own_levels(system: ErrorLog, sent: list[tuple[object, ...]]) -> None:
    for level in LogLevel:
        system.write(level, "text")

    assert sent == [
        (syslog.LOG_NOTICE, "[NOTICE] text"),
        (syslog.LOG_WARNING, "[WARNING] text"),
        (syslog.LOG_ERR, "[ERROR] text"),
        (syslog.LOG_ALERT, "[ALERT] text"),
    ]


def test_syslog_gets_what_workers_say(system: ErrorLog, sent: list[tuple[object, ...]]) -> None:
    system.limit(1024, buffering=False)
    system.say(WORKER, b"one\npart")
    system.error("text")
    system.say(RAW, b"\x00raw\n")

    assert sent == [
        (syslog.LOG_WARNING, '[WARNING] [pool www] child 7 said into stderr: "one"'),
        (syslog.LOG_WARNING, '[WARNING] [pool www] child 7 said into stderr: "part"'),
        (syslog.LOG_ERR, "[ERROR] text"),
        (syslog.LOG_WARNING, "\\x00raw"),
    ]


def test_syslog_is_not_told_what_is_not_recorded(
    system: ErrorLog, sent: list[tuple[object, ...]], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    system.record = False
    system.echo = True
    system.notice("text")
    system.say(WORKER, b"text\n")

    assert sent == []
    assert capfdbinary.readouterr().err.count(b"text") == 2


def test_syslog_is_opened_again_when_told(system: ErrorLog, sent: list[tuple[object, ...]]) -> None:
    system.reopen()

    assert len(sent) == 1


def test_json_goes_to_syslog_as_well(system: ErrorLog, sent: list[tuple[object, ...]]) -> None:
    system.limit(1024, buffering=True, form=LogFormat.JSON)
    system.say(WORKER, "one \u00a0\u2028é\npart".encode())
    system.error("[pool www] text")

    assert [level for level, _line in sent] == [syslog.LOG_WARNING, syslog.LOG_WARNING, syslog.LOG_ERR]
    found = [json.loads(str(line)) for _level, line in sent]
    assert [each["message"] for each in found] == ["one \u00a0\u2028é", "part", "text"]
    assert {each["pool"] for each in found} == {"www"}


# ---------------------------------------------------------------- JSON


def test_every_line_of_json_is_an_object(log: ErrorLog, path: Path) -> None:
    log.limit(512, buffering=True, form=LogFormat.JSON)
    log.relay(LogLevel.WARNING, "[pool www] child 7 exited", Origin(5))
    log.level = LogLevel.DEBUG
    log.debug("a\nb")
    log.say(RAW, b"x" * 600 + b"\n")

    exited, debug, *parts = [json.loads(line) for line in path.read_text().splitlines()]
    assert (exited["pool"], exited["pid"], exited["message"]) == ("www", 5, "child 7 exited")
    assert "function" not in exited
    assert debug["function"] == "test_every_line_of_json_is_an_object"
    assert debug["message"] == "a\nb"
    assert [len(part["message"]) for part in parts] == [512, 88]


def test_lines_that_were_lost_are_told_in_json(log: ErrorLog) -> None:
    log.limit(512, buffering=True, form=LogFormat.JSON)

    assert json.loads(log._explain("3 lines could not be written"))["level"] == "warning"


def test_standard_error_may_be_a_socket() -> None:
    """As that of a service or a container often is: it cannot be opened by its name."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        log = ErrorLog()
        log.echo = False
        log.open(f"/proc/self/fd/{theirs.fileno()}")
        log.notice("said")
        assert ours.recv(100).endswith(b"NOTICE: said\n")
        log.reopen()
        log.notice("again")
        assert ours.recv(100).endswith(b"NOTICE: again\n")


def test_pipe_needs_no_reader_and_may_be_opened_again_without_one(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    log = ErrorLog()
    log.echo = False
    log.open(str(path))
    for _ in range(3000):
        log.notice("x" * 100)
    log.reopen()
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    # What there is no room for is lost; what there is waits.
    assert len(os.read(reader, 1 << 20)) > 1 << 18
    os.close(reader)
