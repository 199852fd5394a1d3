"""Sockets that were passed to us: what the environment says, and what is true of it."""

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraal.unix.inherited import Giver, Passed, adopt, passed, without


def fpm(fd: int, address: str) -> Passed:
    return Passed(fd, Giver.FPM, address=address)


def systemd(fd: int, name: str | None = None) -> Passed:
    return Passed(fd, Giver.SYSTEMD, name=name)


# ---------------------------------------------------------------- the environment


def test_without_variables_nothing_was_passed() -> None:
    assert passed({}, 1) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/run/fpm.sock=7", (fpm(7, "/run/fpm.sock"),)),
        (
            "/run/fpm.sock=7,127.0.0.1:9000=8,:::9001=9",
            (fpm(7, "/run/fpm.sock"), fpm(8, "127.0.0.1:9000"), fpm(9, ":::9001")),
        ),
        ("/run/a=b,c.sock=7,/run/d=8", (fpm(7, "/run/a=b,c.sock"), fpm(8, "/run/d"))),
        ("", ()),
        ("nonsense", ()),
        ("/run/a=", ()),
        ("/run/a=-1", ()),
        ("/run/a=99999999999999999999", ()),
        ("=7", ()),
    ],
)
def test_php_fpm_lists_addresses_and_descriptors(text: str, expected: tuple[Passed, ...]) -> None:
    assert passed({"FPM_SOCKETS": text}, 1) == expected


def test_php_fpm_splits_long_lists_up() -> None:
    environ = {
        "FPM_SOCKETS": "/a=3",
        "FPM_SOCKETS_1": "/b=4",
        "FPM_SOCKETS_2": "/c=5",
        "FPM_SOCKETS_4": "/e=7",
    }

    assert passed(environ, 1) == (fpm(3, "/a"), fpm(4, "/b"), fpm(5, "/c"))


def test_systemd_counts_from_three() -> None:
    assert passed({"LISTEN_PID": "12", "LISTEN_FDS": "2"}, 12) == (systemd(3), systemd(4))


def test_systemd_names_them() -> None:
    environ = {"LISTEN_PID": "12", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "www::shop"}

    assert passed(environ, 12) == (systemd(3, "www"), systemd(4), systemd(5, "shop"))


@pytest.mark.parametrize(
    "environ",
    [
        {"LISTEN_PID": "13", "LISTEN_FDS": "1"},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "12"},
        {"LISTEN_PID": "12", "LISTEN_FDS": "-1"},
        {"LISTEN_PID": "12", "LISTEN_FDS": "one"},
        {"LISTEN_PID": "12", "LISTEN_FDS": "9" * 5000},
    ],
)
def test_what_systemd_meant_for_others_is_left(environ: dict[str, str]) -> None:
    assert passed(environ, 12) == ()


def test_descriptor_is_passed_once() -> None:
    environ = {"LISTEN_PID": "12", "LISTEN_FDS": "1", "FPM_SOCKETS": "/a=3,/b=3"}

    assert passed(environ, 12) == (systemd(3),)


@given(st.dictionaries(st.sampled_from(["FPM_SOCKETS", "FPM_SOCKETS_1", "LISTEN_FDS"]), st.text(max_size=50)))
def test_no_environment_raises(environ: dict[str, str]) -> None:
    assert all(each.fd >= 0 for each in passed(environ | {"LISTEN_PID": "1"}, 1))


def test_nobody_below_takes_the_sockets_for_his() -> None:
    environ = {
        "LISTEN_PID": "1",
        "LISTEN_FDS": "1",
        "LISTEN_FDNAMES": "www",
        "FPM_SOCKETS": "/a=3",
        "FPM_SOCKETS_17": "/b=4",
        "FPM_SOCKETS_DIR": "/run",
        "LISTEN_ADDRESS": "::",
    }

    assert without(environ) == {"FPM_SOCKETS_DIR": "/run", "LISTEN_ADDRESS": "::"}


# ---------------------------------------------------------------- the descriptors


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket of a parent, which passes its descriptor and forgets it."""
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(f"{tmp_path}/fpm.sock")
        opened.listen()
        yield opened
        with suppress(OSError):
            os.fstat(opened.fileno())


def passed_on(opened: socket.socket) -> int:
    return os.dup(opened.fileno())


def test_socket_of_systemd_is_named_by_the_kernel_and_its_file_stays(
    listening: socket.socket, tmp_path: Path
) -> None:
    found = adopt(systemd(passed_on(listening), "www"))

    assert found is not None
    assert (found.listener.key, found.name) == (f"{tmp_path}/fpm.sock", "www")
    found.listener.close()
    assert (tmp_path / "fpm.sock").exists()


def test_socket_of_php_fpm_is_named_by_it_and_its_file_goes(listening: socket.socket, tmp_path: Path) -> None:
    found = adopt(fpm(passed_on(listening), f"{tmp_path}/fpm.sock"))

    assert found is not None
    assert str(found).endswith(f', "{tmp_path}/fpm.sock"')
    found.listener.close()
    assert not (tmp_path / "fpm.sock").exists()


def test_adopted_socket_neither_waits_nor_is_handed_on(listening: socket.socket) -> None:
    os.set_inheritable(fd := passed_on(listening), True)
    found = adopt(systemd(fd))

    assert found is not None
    assert not found.listener.socket.get_inheritable()
    with pytest.raises(BlockingIOError):
        found.listener.socket.accept()
    found.listener.close()


def test_adopted_port_holds_nothing_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = adopt(systemd(passed_on(server)))
        assert found is not None
        assert found.listener.key == f"127.0.0.1:{server.getsockname()[1]}"
        assert found.listener.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        found.listener.close()


def test_socket_is_found_under_both_names_of_its_folder(listening: socket.socket, tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to(tmp_path)
    found = adopt(fpm(passed_on(listening), f"{tmp_path}/run/fpm.sock"))

    assert found is not None
    assert f"{tmp_path}/fpm.sock" in found.keys
    found.listener.close()


def test_abstract_socket_is_named_as_systemd_does() -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(f"\0kraal-test-{os.getpid()}")
        opened.listen()
        found = adopt(systemd(passed_on(opened)))
        assert found is not None
        assert found.listener.key == f"@kraal-test-{os.getpid()}"
        found.listener.close()


def test_what_is_no_listening_socket_is_not_touched(tmp_path: Path) -> None:
    with (
        open(tmp_path / "file", "w") as file,
        socket.socket(socket.AF_UNIX) as idle,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
    ):
        for opened in (file, idle, datagrams):
            assert adopt(systemd(opened.fileno())) is None
            os.fstat(opened.fileno())


def test_descriptor_that_is_closed_is_no_socket() -> None:
    fd = os.open(os.devnull, os.O_RDONLY)
    os.close(fd)

    assert adopt(systemd(fd)) is None
