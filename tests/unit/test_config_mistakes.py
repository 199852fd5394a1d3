"""What is wrong with a configuration, in which words and with which place."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraal.config.model import LogLevel
from kraal.config.problems import ConfigErrors
from kraal.errors import ConfigError, Exit
from tests.unit.test_config_settle import BARE, GOOD, decide, refused

WHOLE = {
    "": "No pool defined. at least one pool section must be specified in config file",
    "[w]\nuser=www\nlisten=9\npm=static\n": "[pool w] pm.max_children must be a positive value (f.conf:1)",
    "[w]\n" + BARE: "[pool w] user has not been defined (f.conf:1)",
    "[w]\nuser=root\n" + BARE: "[pool w] please specify user and group other than root (f.conf:2)",
    "[w]\nuser=1234\n" + BARE: "[pool w] please specify user and group other than root (f.conf:2)",
    "[global]\nenv[a] = x\n" + GOOD: "[f.conf:2] Array are not allowed in the global section",
    "error_log = $pool\n" + GOOD: "[f.conf:1] unable to parse value for entry 'error_log':"
    " Can't use '$pool' when the pool is not defined, found '$pool'",
    "log_limit = 64\n" + GOOD: "log_limit must be greater than 512",
    "process.priority = 21\n" + GOOD: "[f.conf:1] process.priority must be included into [-19,20]",
    GOOD + "[b]\nuser=www\nlisten = 9000\npm=static\npm.max_children=1\n": "[pool b] unable to set listen"
    " address as it's already used in another pool 'www' (f.conf:8)",
    "[w\n": "[f.conf:1] syntax error, end of line where ']' should be in '[w'",
}
# A line that is added to a good pool as line 6, and what is said of it there.
IN_LINE = {
    "zzz = 5": "unknown entry 'zzz'",
    "pm.max_childs = 5": "unknown entry 'pm.max_childs': did you mean pm.max_children?",
    "daemonize = no": "unknown entry 'daemonize': it belongs into [global]",
    "env = x": "unknown entry 'env': it takes a key, as in env[KEY]",
    "env[x] =": "empty value",
    "pm = fast": "unable to parse value for entry 'pm': invalid process manager"
    " (static, dynamic or ondemand), found 'fast'",
    "php_valeu[a] = x": "unknown directive 'php_valeu': did you mean php_value?",
    "php_value[] = x": "You must provide a key for field 'php_value'",
    "php_flag[x] = maybe": "error while parsing 'php_flag[x]' : invalid boolean value",
    "access.suppress_path[a] = /x": "Keys provided to field 'access.suppress_path' are ignored",
    "access.suppress_path[] = x": "Values provided to field 'access.suppress_path' must begin with '/'",
}
# The same for what is said of the pool, with the place behind it.
IN_POOL = {
    "pm.max_requests_jitter = -1": "pm.max_requests_jitter can't be negative",
    "queue.max_length = -1": "queue.max_length can't be negative",
    "queue.max_wait = -1": "queue.max_wait can't be negative",
    "listen =": "no listen address have been defined!",
    "ping.path = ping": "the ping path 'ping' must start with a '/'",
    "pm.status_path = /": "the status path '/' is not long enough",
    "pm.status_path = /a?b": "the status path '/a?b' must contain only the following characters"
    " '[alphanum]/_-.~'",
    "chdir = /none": "the chdir path '/none' does not exist or is not a directory",
    "chroot = /none": "the chroot path '/none' does not exist or is not a directory",
    "prefix = /none": "the prefix '/none' does not exist or is not a directory",
    "security.limit_body_files = all /x": "the security.limit_body_files path 'all' must start with a '/'",
    "request_slowlog_timeout = 5": "'slowlog' must be specified for use with 'request_slowlog_timeout'",
}
# The same again, where php-fpm's words stand alone.
EXACT = {
    "listen = 127.0.0.1:69002": "invalid port value '69002'",
    "user = aaaaaa": "[pool www] cannot get uid for user 'aaaaaa'",
    "group = aaa": "[pool www] cannot get gid for group 'aaa'",
    "group = 99999999999999999999": "[pool www] cannot get gid for group '99999999999999999999'",
}
MISTAKES = [
    *WHOLE.items(),
    *((f"{GOOD}{line}\n", f"[f.conf:6] {error}") for line, error in IN_LINE.items()),
    *((f"{GOOD}{line}\n", f"[pool www] {error} (f.conf:6)") for line, error in IN_POOL.items()),
    *((f"{GOOD}{line}\n", error) for line, error in EXACT.items()),
]


@pytest.mark.parametrize(("text", "error"), MISTAKES)
def test_a_mistake_is_told_in_one_sentence(text: str, error: str) -> None:
    assert refused(text) == [error]


@pytest.mark.parametrize(
    ("low", "high", "start", "error"),
    [
        (0, 3, 0, "pm.min_spare_servers(0) must be a positive value (f.conf:6)"),
        (1, 0, 0, "pm.max_spare_servers(0) must be a positive value (f.conf:7)"),
        (3, 2, 0, "pm.max_spare_servers(2) must not be less than pm.min_spare_servers(3) (f.conf:7)"),
        (1, 5, 0, "pm.min_spare_servers(1) and pm.max_spare_servers(5) cannot be greater than"
            " pm.max_children(4) (f.conf:6)"),
        (1, 2, 3, "pm.start_servers(3) must not be less than pm.min_spare_servers(1) and not greater than"
            " pm.max_spare_servers(2) (f.conf:8)"),
    ],
)  # fmt: skip
def test_the_numbers_of_a_dynamic_pool_must_fit(low: int, high: int, start: int, error: str) -> None:
    text = GOOD.replace("static", "dynamic")
    text += f"pm.min_spare_servers = {low}\npm.max_spare_servers = {high}\npm.start_servers = {start}\n"

    assert refused(text) == [f"[pool www] {error}"]


def test_all_mistakes_are_told_at_once_and_none_twice() -> None:
    text = "[a]\npm.max_childs = 3\nlistn = 9\nuser = nobody-here\npm = x\n[b\nfoo = 1\n[c]\nlisten = 1\n"

    errors = refused(text)

    assert [error.split(":")[0] for error in errors] == [
        *("[f.conf", "[f.conf", "[f.conf", "[f.conf", "[f.conf"),
        "[pool a] cannot get uid for user 'nobody-here'",
        *("[pool c] user has not been defined (f.conf",),
        "[pool c] the process manager is missing (static, dynamic or ondemand) (f.conf",
        "[pool c] pm.max_children must be a positive value (f.conf",
    ]


def test_errors_end_with_the_exit_code_for_configurations() -> None:
    with pytest.raises(ConfigError) as caught:
        decide("[w]\n")

    assert caught.value.exit is Exit.CONFIG
    assert isinstance(caught.value, ConfigErrors)
    assert caught.value.errors[0].level is LogLevel.ALERT


@given(st.text(alphabet="[]=w \n$xpm.user0123456789'\"/{}:é"))
def test_no_text_ends_in_anything_but_a_configuration_or_its_errors(text: str) -> None:
    with suppress(ConfigErrors):
        assert decide(text).pools
