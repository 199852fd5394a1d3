"""What a configuration means: merging, paths, accounts, notices, on a machine that does not exist."""

from dataclasses import dataclass

import pytest

from kraal.config.gather import Gatherer
from kraal.config.ini import parse
from kraal.config.model import Account, Config, Pm
from kraal.config.problems import ConfigErrors
from kraal.config.settle import Run, settle

GOOD = "[www]\nuser = www\nlisten = 9000\npm = static\npm.max_children = 4\n"
BARE = "listen = /x\npm = static\npm.max_children = 4\n"


@dataclass(frozen=True)
class Village:
    """A machine with two users, two groups and some directories."""

    directories: tuple[str, ...] = ("/srv", "/jail", "/jail//in", "/usr/rel")

    def is_directory(self, path: str) -> bool:
        return path in self.directories

    def user(self, name: str) -> Account | None:
        return {"root": Account(0, 0, "root", "/root"), "www": Account(33, 33, "www", "/srv")}.get(name)

    def user_of(self, uid: int) -> Account | None:
        return next((user for user in map(self.user, ("root", "www")) if user and user.uid == uid), None)

    def group(self, name: str) -> int | None:
        return {"root": 0, "web": 44}.get(name)

    def php_versions(self) -> tuple[str, ...]:
        return ("8.2", "8.4")


def decide(text: str, **run: object) -> Config:
    gatherer = Gatherer("f.conf")
    for item in parse(text, "f.conf", {}):
        gatherer.add(item)
    started = {"file": "f.conf", "uid": 0, "as_root": True} | run
    return settle(gatherer, Run(**started), Village())  # type: ignore[arg-type]


def refused(text: str, **run: object) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        decide(text, **run)
    return [str(error) for error in caught.value.errors]


def notices(text: str, **run: object) -> list[str]:
    return [f"{notice.level.name}: {notice}" for notice in decide(text, **run).warnings]


def test_a_small_pool_is_complete() -> None:
    [pool] = decide(GOOD).pools

    assert pool.name == "www"
    assert pool.pm is Pm.STATIC
    assert pool.account == Account(33, 33, "www", "/srv")
    assert (pool.socket_uid, pool.socket_gid) == (-1, -1)


def test_sections_of_one_name_are_one_pool_and_the_last_value_wins() -> None:
    [pool] = decide(GOOD + "[global]\ndaemonize = no\n[WWW]\npm.max_children = 7\n").pools

    assert (pool.name, pool.pm_max_children, pool.listen) == ("www", 7, "9000")


def test_pool_names_stand_for_themselves_everywhere_and_prefix_at_the_start_of_chroot() -> None:
    text = GOOD + "prefix = rel\nchroot = $prefix\nenv[A] = $pool-$pool\nslowlog = $pool.slow\n"

    with pytest.raises(ConfigErrors) as caught:
        decide(text + "chdir = /none")
    [pool] = decide(text).pools

    assert "the chdir path '/none' within the chroot path '/usr/rel'" in str(caught.value)
    assert pool.env == (("A", "www-www"),)
    assert pool.slowlog == "/usr/rel/www.slow"


def test_relative_paths_start_from_the_prefix_of_the_pool_or_else_of_the_process() -> None:
    text = "[global]\npid = run/x.pid\n[a]\nuser=www\nprefix=/srv\n" + BARE.replace("/x", "a.sock")
    text += "[b]\nuser=www\n" + BARE.replace("/x", "b.sock")

    config = decide(text, prefix="/opt")

    assert config.global_.pid == "/opt/run/x.pid"
    assert config.global_.error_log == "/opt/log/php-fpm.log"
    assert [pool.listen for pool in config.pools] == ["/srv/a.sock", "/opt/b.sock"]


def test_php_settings_keep_their_order_and_flags_become_numbers() -> None:
    text = GOOD + "php_flag[a] = on\nphp_admin_value[b] = E_ALL\nphp_value[c] =\nphp_admin_flag[d] = off\n"

    [pool] = decide(text).pools

    assert [(value.kind, value.name, value.value) for value in pool.php_values] == [
        ("php_value", "a", "1"),
        ("php_admin_value", "b", "32767"),
        ("php_value", "c", ""),
        ("php_admin_value", "d", "0"),
    ]


def test_the_socket_belongs_to_its_owner_and_his_group_unless_a_group_is_named() -> None:
    [first] = decide(GOOD + "listen.owner = www\n").pools
    [second] = decide(GOOD + "listen.owner = www\nlisten.group = web\n").pools
    [third] = decide(GOOD + "listen.owner = 7\nlisten.group = 8\n").pools

    assert (first.socket_uid, first.socket_gid) == (33, 33)
    assert (second.socket_uid, second.socket_gid) == (33, 44)
    assert (third.socket_uid, third.socket_gid) == (7, 8)


def test_start_servers_are_set_halfway_and_said_so() -> None:
    text = GOOD.replace("static", "dynamic") + "pm.min_spare_servers = 1\npm.max_spare_servers = 3\n"

    assert notices(text) == ["NOTICE: [pool www] pm.start_servers is not set. It's been set to 2."]
    assert decide(text).pools[0].pm_start_servers == 2


def test_without_root_the_directives_that_need_it_are_ignored_and_said_so() -> None:
    assert notices(GOOD + "group = web\n", as_root=False, uid=33) == [
        "NOTICE: [pool www] 'user' directive is ignored when FPM is not running as root",
        "NOTICE: [pool www] 'group' directive is ignored when FPM is not running as root",
    ]
    assert notices(GOOD, as_root=False, uid=33, testing=True) == []


def test_without_root_an_unknown_user_matters_only_to_the_test_of_the_configuration() -> None:
    text = GOOD.replace("= www", "= aaaaaa")

    assert decide(text, as_root=False, uid=33).pools[0].account == Account(33, 33, "www", "/srv")
    assert refused(text, as_root=False, uid=33, testing=True) == [
        "[pool www] cannot get uid for user 'aaaaaa'"
    ]


def test_what_is_not_in_force_yet_is_one_warning_per_line() -> None:
    text = "[global]\nevents.mechanism = epoll\n" + GOOD

    assert notices(text) == ["WARNING: [f.conf:2] events.mechanism is not in force in this version of kraal"]


def test_version_of_php_is_one_that_there_is_and_is_written_as_text() -> None:
    [pool] = decide(GOOD + "php.version = 8.4\n").pools
    assert pool.php_version == "8.4"
    assert decide(GOOD).pools[0].php_version is None

    [sentence] = refused(GOOD + "php.version = 8.9\n")
    assert sentence == "[pool www] kraal is not built for PHP '8.9', only for 8.2, 8.4 (f.conf:6)"
