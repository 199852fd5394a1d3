"""PHP settings of the pool: they hold from the start of its PHP on."""

import json
from pathlib import Path

import pytest

from tests.integration.conftest import StartKind, StartServer
from tests.support.settings import GET, values
from tests.support.workers import ask
from tests.support.workspace import make_directory

WRITTEN = {
    "plain": "plain",
    '"semi;colon"': "semi;colon",
    "semi;comment": "semi",
    '"quo\\"te"': 'quo"te',
    "'quo\"te'": 'quo"te',
    '"quo\'te"': "quo'te",
    "back\\slash": "back\\slash",
    '"end\\\\"': "end\\",
    "'end\\\\\\'": "end\\\\\\",
    "'${precision}'": "${precision}",
    '"<${precision}>"': "<14>",
    '""': "",
    "none": "",
    "on": "1",
    "E_ALL & ~E_NOTICE": str(32767 & ~8),
    '"  both  "': "  both  ",
    '"<?ä%{}#"': "<?ä%{}#",
    '"\t"': "\t",
}


# Settings that take any text.
TEXTS = [
    *("user_agent", "docref_root", "docref_ext", "error_prepend_string", "error_append_string"),
    *("highlight.string", "highlight.comment", "highlight.keyword", "highlight.default", "highlight.html"),
    *("url_rewriter.hosts", "unserialize_callback_func", "session.cookie_domain", "session.cache_limiter"),
    *("session.referer_check", "date.default_latitude", "mail.log", "sys_temp_dir"),
]


def test_values_of_the_pool_arrive_as_they_are_written(start_server: StartServer) -> None:
    kinds = ("php_value", "php_admin_value")
    written = {
        f"{kinds[number % 2]}[{name}]": text
        for number, (name, text) in enumerate(zip(TEXTS, WRITTEN, strict=True))
    }
    server = start_server(pool=written, arguments=["-d", "precision=14"])
    assert values(server, server.script("get.php", GET), *TEXTS) == list(WRITTEN.values())


FLAGS = {
    "php_flag[html_errors]": "off",
    "php_flag[ignore_repeated_errors]": "on",
    "php_flag[ignore_repeated_source]": "yes",
    "php_flag[implicit_flush]": "true",
    "php_flag[report_memleaks]": "no",
    "php_admin_flag[log_errors]": "0",
    "php_admin_flag[session.use_strict_mode]": "1",
    "php_admin_flag[session.use_cookies]": "false",
    "php_admin_flag[allow_url_fopen]": "none",
}


def test_flags_are_read_in_every_spelling(start_server: StartServer) -> None:
    flags = {name.partition("[")[2][:-1]: word for name, word in FLAGS.items()}
    server = start_server(pool=FLAGS)
    found = values(server, server.script("get.php", GET), *flags)
    assert found == ["1" if word in ("on", "yes", "true", "1") else "0" for word in flags.values()]


def test_extension_of_a_pool_is_loaded(start_server: StartServer, directory: Path) -> None:
    """Debian loads all that it has, so here it is told to load nothing."""
    server = start_server(
        pool={"php_admin_value[extension]": "sockets.so"},
        more={"second": {"php_admin_value[extension]": "calendar"}},
        environ={"PHP_INI_SCAN_DIR": str(make_directory(directory / "conf.d"))},
    )
    uri = server.script(
        "loaded.php",
        "echo json_encode([extension_loaded('sockets'), extension_loaded('calendar'), "
        "function_exists('socket_create') && socket_create(AF_INET, SOCK_STREAM, 0) instanceof Socket]);",
    )
    for _ in range(2):
        assert json.loads(server.fetch(uri).body) == [True, False, True]
        assert json.loads(ask(f"{server.directory}/second.sock", server, uri)) == [False, True, False]


def test_pool_with_an_extension_that_is_not_there_serves(start_server: StartServer) -> None:
    disabled = {"php_admin_value[disable_classes]": "SplStack,SplQueue"}
    server = start_server(pool={"php_admin_value[extension]": "not-there.so", **disabled})
    uri = server.script("make.php", "echo 'served'; new SplStack();")
    response = server.fetch(uri)
    assert response.text.startswith("served")
    assert "SplStack() has been disabled for security reasons" in response.stderr.decode()


def test_sizes_of_opcache_are_those_of_the_pool(start_kind: StartKind) -> None:
    """php-fpm has one OPcache for all pools, of the size that php.ini says."""
    name = "php_admin_value[opcache.memory_consumption]"
    server = start_kind("kraal", pool={name: "9"}, more={"second": {name: "17"}})
    uri = server.script(
        "size.php", "echo opcache_get_configuration()['directives']['opcache.memory_consumption'] >> 20;"
    )
    assert server.fetch(uri).text == "9"
    assert ask(f"{server.directory}/second.sock", server, uri) == "17"


SPEAKING = "file_put_contents('php://stderr', \"said at the start\\nand more\"); "


def test_what_php_says_while_it_starts_is_in_the_log(start_kind: StartKind, directory: Path) -> None:
    """Where the output of workers is caught.  In php-fpm only some of it is said in a worker."""
    preload = directory / "preload.php"
    preload.write_text(f"<?php {SPEAKING}")
    server = start_kind(
        "kraal", pool={"catch_workers_output": "yes", "php_admin_value[opcache.preload]": str(preload)}
    )
    server.wait_log(r'\[pool www\] child \d+ said into stderr: "said at the start"')
    server.wait_log(r'\[pool www\] child \d+ said into stderr: "and more"')
    ready, said = (server.log().index(text) for text in ("ready to handle", "said at the start"))
    assert ready < said


def test_what_php_says_before_it_fails_to_start_is_in_the_log(start_kind: StartKind, directory: Path) -> None:
    preload = directory / "preload.php"
    preload.write_text(f"<?php {SPEAKING} nothing_of_that_name();")
    with pytest.raises(AssertionError, match='said into stderr: "said at the start"'):
        start_kind(
            "kraal", pool={"catch_workers_output": "yes", "php_admin_value[opcache.preload]": str(preload)}
        )
