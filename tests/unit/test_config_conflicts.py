"""What php-fpm takes in silence and kraal warns of, and what neither says a word about."""

import pytest

from kraal.config.access_format import complaint
from kraal.config.model import PhpValue, Pool
from kraal.config.php_values import extensions, overridden, unknown
from kraal.errors import Place
from kraal.fields import replace
from tests.unit.test_config_settle import GOOD, notices, refused

UNIX = GOOD.replace("9000", "/run/x.sock")
DYNAMIC = GOOD.replace("static", "dynamic") + "pm.min_spare_servers = 1\npm.max_spare_servers = 3\n"
ONDEMAND = GOOD.replace("static", "ondemand")
# What is added to a pool as line 6 (8 for the dynamic one), and the warning.
CONFLICTS = [
    (GOOD, "listen.owner = www", "listen.owner has no effect on listen = 9000, which is no socket file"),
    (
        GOOD,
        "listen.owner = www\nlisten.mode = 0600",
        "listen.owner, listen.mode have no effect on listen = 9000, which is no socket file",
    ),
    (UNIX, "listen.allowed_clients = 127.0.0.1", "listen.allowed_clients has no effect on a Unix socket"),
    (GOOD, "pm.start_servers = 2", "pm.start_servers has no effect with pm = static"),
    (GOOD, "pm.process_idle_timeout = 2", "pm.process_idle_timeout has no effect with pm = static"),
    (ONDEMAND, "pm.max_spare_servers = 2", "pm.max_spare_servers has no effect with pm = ondemand"),
    (
        GOOD,
        "decorate_workers_output = no",
        "decorate_workers_output has no effect without catch_workers_output",
    ),
    (
        GOOD,
        "pm.max_requests_jitter = 5",
        "pm.max_requests_jitter has no effect without pm.max_requests or worker.max_requests",
    ),
    (
        GOOD,
        "queue.max_length = 128\nlisten.backlog = 128",
        "queue.max_length (128) cannot be reached: listen.backlog (128) is not greater",
    ),
    (GOOD, "ping.response = pong", "ping.response has no effect without ping.path"),
    (
        GOOD,
        "request_terminate_timeout_track_finished = yes",
        "request_terminate_timeout_track_finished has no effect without request_terminate_timeout",
    ),
    (
        GOOD,
        "pm.status_path = /x\nping.path = /x",
        "ping.path and pm.status_path are both '/x': the status page is never shown",
    ),
    (
        GOOD,
        "security.limit_extensions = .php,.html",
        "security.limit_extensions = .php,.html is separated by spaces, not by commas",
    ),
    (GOOD, "clear_env = no\nenv[A] = $A", "env[A] = $A changes nothing with clear_env = no"),
    (GOOD, "env[A] = $NOWHERE", "env[A] is empty: $NOWHERE is not in the environment of the master"),
    (GOOD, "env[A] = 1\nenv[A] = 2", "env[A] is written more than once: the first one counts"),
    (
        GOOD,
        "php_flag[a] = on\nphp_value[a] = 2",
        "php_value[a] is written more than once: the first one counts",
    ),
    (
        GOOD,
        "php_value[a] = 2\nphp_admin_flag[a] = on",
        "php_value[a] cannot take effect: php_admin_value[a] counts",
    ),
    (
        GOOD,
        "php_value[max_execution_time] = 60\nrequest_terminate_timeout = 30",
        "php_value[max_execution_time] = 60 cannot take effect: request_terminate_timeout = 30 ends"
        " the worker before",
    ),
    (GOOD, "user = root\nuser = www", "user is written again, which counts, and not f.conf:6"),
]  # fmt: skip


@pytest.mark.parametrize(("pool", "lines", "warning"), CONFLICTS)
def test_what_cannot_have_been_meant_is_a_warning_with_its_line(pool: str, lines: str, warning: str) -> None:
    said = [
        notice for notice in notices(f"{pool}{lines}\n", environ={"A": "x"}) if "not in force" not in notice
    ]

    assert [notice.rpartition(" (f.conf:")[0] for notice in said[-1:]] == [f"WARNING: [pool www] {warning}"]
    assert len(said) == (2 if lines.startswith("user") else 1)


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("process.max = 3\n", "process.max (3) is less than the 4 workers of the static pools (f.conf:1)"),
        (
            "emergency_restart_interval = 1m\n",
            "emergency_restart_interval has no effect without emergency_restart_threshold (f.conf:1)",
        ),
        (
            "daemonize = no\ndaemonize = yes\n",
            "daemonize is written again, which counts, and not f.conf:1 (f.conf:2)",
        ),
    ],
)
def test_the_global_section_is_looked_at_as_well(text: str, warning: str) -> None:
    assert [notice for notice in notices(text + GOOD) if "not in force" not in notice] == [
        f"WARNING: {warning}"
    ]


@pytest.mark.parametrize(
    "text",
    [
        GOOD + "listen.backlog = 5\nlisten.allowed_clients = ::1\n",
        UNIX + "listen.owner = www\nlisten.group = web\nlisten.mode = 0600\n",
        DYNAMIC + "pm.start_servers = 2\npm.max_requests = 5\n",
        ONDEMAND,
        GOOD + "catch_workers_output = yes\ndecorate_workers_output = no\nclear_env = no\nenv[A] = 1\n",
        GOOD + "php_admin_value[disable_functions] = a\nphp_admin_value[disable_functions] = b\n",
        GOOD + "php_value[max_execution_time] = 20\n",
        GOOD + "ping.path = /ping\nping.response = ok\npm.status_path = /status\n",
    ],
)
def test_what_may_have_been_meant_is_silent(text: str) -> None:
    assert notices(text) == []


def test_a_folder_counted_from_the_old_root_is_explained() -> None:
    text = GOOD + "chroot = /jail\nchdir = /jail/in\n"

    assert "chdir is counted from the new root" in refused(text)[0]


# ---------------------------------------------------------------- PHP's settings


def pool_with(*values: tuple[str, str]) -> Pool:
    place = Place("f.conf", 7)
    php_values = tuple(PhpValue("php_value", name, value, place) for name, value in values)
    return Pool(name="www", at=place, php_values=php_values)


def test_a_setting_that_php_does_not_have_is_named_with_the_nearest() -> None:
    pools = [pool_with(("memory_limt", "1"), ("precision", "1"), ("zzz", "1"), ("extension", "x"))]

    assert [str(notice) for notice in unknown(pools, frozenset({"memory_limit", "precision"}))] == [
        "[pool www] php_value[memory_limt] cannot take effect, PHP has no such setting: did you mean"
        " memory_limit? (f.conf:7)",
        "[pool www] php_value[zzz] cannot take effect, PHP has no such setting (f.conf:7)",
    ]


def test_a_setting_that_web_servers_may_send_and_php_does_not_have_is_named() -> None:
    pool = replace(pool_with(), security_limit_php_value="precision memory_limt")

    assert [str(notice) for notice in unknown([pool], frozenset({"memory_limit", "precision"}))] == [
        "[pool www] security.limit_php_value names 'memory_limt', PHP has no such setting: did you mean"
        " memory_limit?"
    ]


def test_a_setting_of_the_command_line_that_a_pool_overrides_is_named() -> None:
    pools = [pool_with(("precision", "9"), ("extension", "x"))]

    assert [str(notice) for notice in overridden(pools, ["precision=3", "extension=y", "other"])] == [
        "[pool www] -d precision=3 has no effect here, php_value[precision] counts (f.conf:7)"
    ]
    assert extensions(pools[0]) == (("extension", "x", True),)


# ---------------------------------------------------------------- access.format


@pytest.mark.parametrize(
    "text",
    [
        *("", "%", "%%", "plain", '%R - %u %t "%m %r" %s', "%{mega}M %{MILLI}d %{total}C %C %d %M"),
        *("%q%Q%f%l%n%p%P", "%{HTTP_HOST}e %{Content-Type}o", "%{%Y-%m-%d}t%{%H}T", "%{a}{b}e"),
    ],
)  # fmt: skip
def test_a_format_of_php_fpm_is_taken(text: str) -> None:
    assert complaint(text) is None


@pytest.mark.parametrize("text", ["%i %w %{micro}w", "json", "json ", "json %{HTTP_HOST}e  %{X-A}o"])
def test_a_format_of_kraal_is_taken(text: str) -> None:
    assert complaint(text) is None


@pytest.mark.parametrize("text", ["json %m", "json %{a}e x", "json %{}e", "json x"])
def test_other_things_cannot_be_added_to_json(text: str) -> None:
    wanted = "only variables (%{NAME}e) and headers (%{NAME}o) can be added to the format json"
    assert complaint(text) == wanted


FORMATS = [
    ("%z", "Invalid token in the access.format (%z)"),
    ("a %m %-", "Invalid token in the access.format (%-)"),
    ("%{x", "missing closing embrace in the access.format"),
    ("%{x}", "missing closing embrace in the access.format"),
    ("%e", "the name of the environment variable must be set between embraces for %e"),
    ("%{}o", "the name of the header must be set between embraces for %o"),
    ("%{x}m", "embrace is not allowed for modifier %m"),
    ("%{x}C", "only 'total', 'user' or 'system' are allowed as a modifier for %C ('x')"),
    ("%{x}d", "only 'seconds', 'milli', 'milliseconds', 'micro' or 'microseconds' are allowed as a modifier"
     " for %d ('x')"),
    ("%{a}{x%{user}C", "only 'total', 'user' or 'system' are allowed as a modifier for %C ('x%{user')"),
    ("%{x}M", "only 'bytes', 'kilo', 'kilobytes', 'mega' or 'megabytes' are allowed as a modifier"
     " for %M ('x')"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reason"), FORMATS)
def test_a_wrong_format_is_refused_in_the_words_of_php_fpm(text: str, reason: str) -> None:
    assert complaint(text) == reason
    assert refused(f'{GOOD}access.log = /a\naccess.format = "{text}"\n') == [
        f"[pool www] wrong format for access.format '{text}': {reason} (f.conf:7)"
    ]
    assert notices(f'{GOOD}access.format = "{text}"\n')[-1:] == [
        "WARNING: [pool www] access.format has no effect without access.log (f.conf:6)"
    ]
