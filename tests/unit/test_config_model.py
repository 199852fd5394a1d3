"""The table of directives, the typed values, and how they are shown."""

import ast
from pathlib import Path

import pytest

import kraal.config
from kraal.config.address import AddressError, TcpAddress, UnixAddress, parse_address
from kraal.config.directives import ARRAYS, GLOBAL, POOL, Directive, Kind
from kraal.config.dump import lines
from kraal.config.model import (
    Account,
    Config,
    Global,
    LogFormat,
    LogLevel,
    PhpValue,
    Pm,
    Pool,
    worker_environment,
)
from kraal.config.values import ValueProblem, understand
from kraal.errors import Place
from kraal.fields import names

HERE = Place("www.conf", 1)
FOUND_OUT = {"name", "at", "written", "env", "php_values", "access_suppress_path", "pages_of"}
FOUND_OUT |= {"account", "socket_uid", "socket_gid"}
IMPURE = {"os", "socket", "signal", "time", "pwd", "grp", "glob", "subprocess"}


def pool(**changes: object) -> Pool:
    return Pool(name="www", at=HERE, **changes)  # type: ignore[arg-type]


def test_every_directive_has_a_field_and_every_field_a_directive() -> None:
    assert {row.field for row in GLOBAL} == set(names(Global)) - {"written"}
    assert {row.field for row in POOL} == set(names(Pool)) - FOUND_OUT


TYPES: dict[Kind, type] = {
    Kind.TEXT: str,
    Kind.PATH: str,
    Kind.INTEGER: int,
    Kind.TIME: int,
    Kind.BOOLEAN: bool,
    Kind.LOG_LEVEL: LogLevel,
    Kind.LOG_FORMAT: LogFormat,
    Kind.FACILITY: int,
    Kind.CORE: int,
    Kind.SIZE: int,
    Kind.PM: Pm,
}


@pytest.mark.parametrize("row", GLOBAL + POOL, ids=lambda row: f"{row.scope.value}-{row.name}")
def test_the_kind_of_a_directive_is_the_type_of_its_field(row: Directive) -> None:
    assert row.default is None or type(row.default) is TYPES[row.kind]


def test_every_meaning_is_one_sentence() -> None:
    for row in (*GLOBAL, *POOL, *ARRAYS):
        assert row.meaning.endswith("."), row.name
        assert ". " not in row.meaning, row.name


def test_only_the_loader_touches_the_machine() -> None:
    for path in Path(kraal.config.__path__[0]).glob("*.py"):
        imported = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            if isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").split(".")[0])
        assert path.name == "load.py" or not imported & IMPURE, path.name


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Kind.INTEGER, "-1", -1),
        (Kind.INTEGER, "", 0),
        (Kind.TIME, "10", 10),
        (Kind.TIME, "10s", 10),
        (Kind.TIME, "2m", 120),
        (Kind.TIME, "1h", 3600),
        (Kind.TIME, "1d", 86400),
        (Kind.BOOLEAN, "yes", True),
        (Kind.BOOLEAN, "none", False),
        (Kind.BOOLEAN, "", False),
        (Kind.LOG_LEVEL, "WARN", LogLevel.WARNING),
        (Kind.FACILITY, "LOCAL1", 136),
        (Kind.CORE, "Unlimited", -1),
        (Kind.SIZE, "0", 0),
        (Kind.SIZE, "4096", 4096),
        (Kind.SIZE, "64k", 65536),
        (Kind.SIZE, "128M", 128 << 20),
        (Kind.SIZE, "2G", 2 << 30),
        (Kind.PM, "OnDemand", Pm.ONDEMAND),
    ],
)
def test_a_value_is_understood_by_its_kind(kind: Kind, text: str, value: object) -> None:
    assert understand(kind, text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Kind.INTEGER, "5x"),
        (Kind.INTEGER, "9" * 5000),
        (Kind.INTEGER, "2147483648"),
        (Kind.TIME, ""),
        (Kind.TIME, "5x"),
        (Kind.TIME, "99999999d"),
        (Kind.BOOLEAN, "YES"),
        (Kind.LOG_LEVEL, "loud"),
        (Kind.CORE, "-2"),
        (Kind.SIZE, ""),
        (Kind.SIZE, "M"),
        (Kind.SIZE, "-1M"),
        (Kind.SIZE, "1.5G"),
        (Kind.SIZE, "128MB"),
        (Kind.SIZE, "9" * 5000),
        (Kind.SIZE, "9999999G"),
        (Kind.PM, "auto"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(kind: Kind, text: str) -> None:
    with pytest.raises(ValueProblem):
        understand(kind, text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("/run/x.sock", UnixAddress("/run/x.sock")),
        ("9000", TcpAddress(None, 9000)),
        ("127.0.0.1:9000", TcpAddress("127.0.0.1", 9000)),
        ("[::1]:9000", TcpAddress("::1", 9000)),
        ("localhost:80", TcpAddress("localhost", 80)),
    ],
)
def test_an_address_is_read_and_written_alike(text: str, address: object) -> None:
    found = parse_address(text)

    assert found == address
    assert str(found) == text


@pytest.mark.parametrize(
    "text", ["0", "65536", "127.0.0.1:69002", "::", "host:", ":9000", "h:x", "/" + "x" * 107]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_address(text)


def test_a_wrong_port_is_named_as_php_fpm_names_it() -> None:
    with pytest.raises(AddressError, match=r"^invalid port value '69002'$"):
        parse_address("127.0.0.1:69002")


@pytest.mark.parametrize(
    ("text", "mode"), [(None, 0o660), ("0600", 0o600), ("666", 0o666), ("x", 0), ("", 0o660)]
)
def test_the_socket_mode_is_octal(text: str | None, mode: int) -> None:
    assert pool(listen_mode=text).socket_mode == mode


def test_lists_are_split() -> None:
    www = pool(security_limit_extensions=" .php\t.html ", listen_allowed_clients="127.0.0.1, ::1")

    assert www.limit_extensions == (".php", ".html")
    assert www.allowed_clients is not None
    assert len(www.allowed_clients.networks) == 2


def test_workers_start_with_an_empty_environment_but_for_their_account() -> None:
    www = pool(account=Account(33, 33, "www-data", "/var/www"), env=(("A", "$PATH"), ("B", "1")))

    environment = worker_environment(www, {"PATH": "/bin", "SECRET": "x"})

    assert environment == {"A": "/bin", "B": "1", "USER": "www-data", "HOME": "/var/www"}


def test_written_environment_wins_over_the_account_and_the_first_entry_over_the_second() -> None:
    www = pool(
        account=Account(33, 33, "www-data", "/var/www"), env=(("HOME", "/1"), ("HOME", "/2")), clear_env=False
    )

    assert worker_environment(www, {"USER": "root"}) == {"HOME": "/1", "USER": "www-data"}


def test_the_dump_shows_arrays_last_to_first_and_flags_as_numbers() -> None:
    values = (
        PhpValue("php_value", "a", "1", HERE),
        PhpValue("php_admin_value", "b", "2", HERE),
        PhpValue("php_value", "c", "3", HERE),
    )
    www = pool(php_values=values, access_suppress_path=("/ping",), request_terminate_timeout=5)

    shown = list(lines(Config(Global(), (www,), "f")))

    assert shown[0] == "[global]"
    assert shown[-4:] == ["\tphp_value[c] = 3", "\tphp_value[a] = 1", "\tphp_admin_value[b] = 2", " "]
    assert "\taccess.suppress_path[] = /ping" in shown
    assert "\trequest_terminate_timeout = 5s" in shown
    assert "\tlisten.mode = undefined" in shown


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("all", None),
        ("ALL", None),
        ("none", ()),
        ("", ()),
        (" \t", ()),
        ("precision", ("precision",)),
        (" precision,user_agent\tx  y, ", ("precision", "user_agent", "x", "y")),
        ("all precision", ("all", "precision")),
    ],
)
def test_a_limit_is_everything_nothing_or_a_list(text: str, limit: tuple[str, ...] | None) -> None:
    www = pool(security_limit_php_value=text, security_limit_body_files=text)

    assert (www.limit_php_value, www.limit_body_files) == (limit, limit)


def test_what_php_fpm_does_not_know_is_shown_only_where_it_is_written() -> None:
    own = {row.name for row in POOL if row.own}
    assert "security.limit_php_value" in own

    for written in (frozenset(), frozenset(own)):
        shown = "\n".join(lines(Config(Global(), (pool(written=written),), "x.conf")))
        assert [f"\t{name} = " in shown for name in own] == [name in written for name in own]
