"""kraal and php-fpm side by side: what scripts see of PHP has to be equal; of requests, see side_by_side/."""

import json
from typing import Any

from tests.support.servers import FpmServer, Kind

TWINS = {"pool": {"pm.max_children": "2"}}


def ask_both(twins: dict[Kind, FpmServer], name: str, code: str) -> dict[Kind, Any]:
    uri = twins["kraal"].script(name, code)
    return {kind: json.loads(server.fetch(uri).body) for kind, server in twins.items()}


def test_both_read_the_same_ini_files(twins: dict[Kind, FpmServer]) -> None:
    found = ask_both(twins, "ini.php", "echo json_encode([php_ini_loaded_file(), php_ini_scanned_files()]);")
    assert found["kraal"] == found["php-fpm"]


# frankenphp_* and its own name for worker mode; see docs/worker-mode.md.
OWN_FUNCTIONS = {
    "apache_response_headers",
    "frankenphp_finish_request",
    "frankenphp_handle_request",
    "kraal_handle_request",
    "kraal_before_fork",
    "kraal_after_fork",
}


def test_kraal_has_the_functions_of_php_fpm_and_its_own(twins: dict[Kind, FpmServer]) -> None:
    """The embed library also has pcntl_fork(), which would make an uncounted worker, and chroot()."""
    found = ask_both(twins, "functions.php", "echo json_encode(get_defined_functions()['internal']);")
    assert set(found["kraal"]) == set(found["php-fpm"]) | OWN_FUNCTIONS


def test_kraal_has_the_modules_of_php_fpm_and_no_others(twins: dict[Kind, FpmServer]) -> None:
    found = ask_both(twins, "modules.php", "echo json_encode(get_loaded_extensions());")
    assert set(found["kraal"]) == set(found["php-fpm"])


def test_kraal_has_all_ini_settings_of_php_fpm_with_the_same_values(twins: dict[Kind, FpmServer]) -> None:
    found = ask_both(twins, "settings.php", "echo json_encode(ini_get_all(null, false));")
    own = ("fpm.config", "session.save_path", "upload_tmp_dir")
    for name, value in found["php-fpm"].items():
        assert name in found["kraal"]
        assert name in own or found["kraal"][name] == value, name


def test_a_body_without_a_length_is_read_to_its_end(twins: dict[Kind, FpmServer]) -> None:
    """Caddy says -1 of a body in chunks.  php-fpm waits for more of it, for ever."""
    server = twins["kraal"]
    uri = server.script("endless.php", "echo json_encode([$_POST, file_get_contents('php://input')]);")
    form = {"CONTENT_TYPE": "application/x-www-form-urlencoded", "CONTENT_LENGTH": "-1"}
    assert json.loads(server.fetch(uri, body=b"a=1&b=2", extra=form).body) == [
        {"a": "1", "b": "2"},
        "a=1&b=2",
    ]
    long = b"x" * 300_000
    plain = {"CONTENT_TYPE": "text/plain", "CONTENT_LENGTH": "-1"}
    assert json.loads(server.fetch(uri, body=long, extra=plain).body) == [[], long.decode()]
    assert json.loads(server.fetch(uri, method="POST", extra=plain).body) == [[], ""]
