"""From a pool's configuration to what its manager is told."""

import pytest

from kraal.boot import Order, Php, Privileges
from kraal.config.model import Account, Global, PhpValue, Pm, Pool
from kraal.errors import Place
from kraal.fields import replace
from kraal.manager import stop_ladder
from kraal.manager.sizing import Policy
from kraal.master.orders import order_for, quit_timeout

AT = Place("pool.conf", 3)
PHP = Php(ini_path="/etc/php", ini_scan_dir="/etc/php/conf.d", defines=("a=b",), executable="/usr/sbin/kraal")
ACCOUNT = Account(uid=33, gid=34, name="www-data", home="/var/www")
POOL = Pool(name="www", at=AT, listen="9000", pm_max_children=5, user="www-data", account=ACCOUNT)


def order(pool: Pool = POOL, *, general: Global | None = None, as_root: bool = True) -> Order:
    return order_for(
        pool,
        general or Global(),
        php=PHP,
        environ={"PATH": "/bin", "SECRET": "s"},
        as_root=as_root,
        groups=(34, 50),
    )


def value(kind: str, name: str, text: str) -> PhpValue:
    return PhpValue(kind=kind, name=name, value=text, at=AT)


def test_pool_is_told_its_name_policy_and_number_of_workers() -> None:
    told = order(replace(POOL, pm=Pm.DYNAMIC))

    assert (told.pool, told.policy, told.max_children, told.php) == ("www", "dynamic", 5, PHP)


def test_pool_is_told_how_its_number_of_workers_is_governed() -> None:
    told = order(
        replace(
            POOL,
            pm=Pm.DYNAMIC,
            pm_start_servers=2,
            pm_min_spare_servers=1,
            pm_max_spare_servers=3,
            pm_max_spawn_rate=7,
            pm_process_idle_timeout=11,
            pm_max_memory=1 << 20,
            pm_max_requests=100,
            pm_max_requests_jitter=10,
        )
    )

    assert told.size == Policy(
        kind="dynamic",
        max_children=5,
        start_servers=2,
        min_spare_servers=1,
        max_spare_servers=3,
        max_spawn_rate=7,
        idle_timeout=11.0,
    )
    assert (told.max_memory, told.max_requests, told.max_requests_jitter) == (1 << 20, 100, 10)


@pytest.mark.parametrize(("length", "wait"), [(0, 0), (7, 0), (0, 3), (7, 3)])
def test_queue_has_a_limit_only_if_one_is_set(length: int, wait: int) -> None:
    told = order(replace(POOL, queue_max_length=length, queue_max_wait=wait))

    assert (told.queue_length, told.queue_wait, told.bounded) == (length, wait, length + wait > 0)


def test_root_becomes_the_user_of_the_pool() -> None:
    assert order().privileges == Privileges(uid=33, gid=34, groups=(34, 50))


def test_root_who_names_nobody_stays_root() -> None:
    told = order(replace(POOL, user=None, account=Account(uid=0, gid=0))).privileges

    assert (told.uid, told.gid, told.groups) == (None, None, ())


def test_who_is_not_root_stays_who_he_is() -> None:
    pool = replace(POOL, chroot="/srv", chdir="/tmp", process_priority=5, rlimit_files=100)

    assert order(pool, as_root=False).privileges == Privileges(files=100, chdir="/tmp")


def test_limits_that_are_not_set_are_left_alone() -> None:
    told = order(replace(POOL, rlimit_files=0, rlimit_core=0)).privileges

    assert (told.files, told.core, told.nice, told.chroot, told.chdir) == (None, None, None, None, None)


def test_limits_are_handed_on() -> None:
    pool = replace(
        POOL,
        rlimit_files=100,
        rlimit_core=-1,
        process_priority=-3,
        chroot="/srv",
        chdir="/www",
        process_dumpable=True,
    )

    told = order(pool).privileges

    assert (told.files, told.core, told.nice, told.chroot, told.chdir) == (100, -1, -3, "/srv", "/www")
    assert told.dumpable


def test_limits_of_what_web_servers_may_send_are_handed_on() -> None:
    limited = replace(POOL, security_limit_php_value="a, b", security_limit_body_files="/x")

    assert (order().php_values, order().body_files) == (None, None)
    assert (order(limited).php_values, order(limited).body_files) == (("a", "b"), ("/x",))


def test_environment_of_the_master_stays_with_the_master() -> None:
    assert order().environment == {"USER": "www-data", "HOME": "/var/www"}


def test_environment_is_inherited_only_when_asked_for() -> None:
    told = order(replace(POOL, clear_env=False, env=(("COPY", "$SECRET"),)))

    assert told.environment == {
        "PATH": "/bin",
        "SECRET": "s",
        "COPY": "s",
        "USER": "www-data",
        "HOME": "/var/www",
    }


def test_admin_values_are_set_last_so_that_they_win() -> None:
    values = (
        value("php_admin_value", "memory_limit", "1M"),
        value("php_value", "memory_limit", "2M"),
        value("php_value", "precision", "3"),
    )

    ini = order(replace(POOL, php_values=values)).ini

    assert {name: text for name, text, _admin in ini} == {"memory_limit": "1M", "precision": "3"}
    assert [admin for *_rest, admin in ini] == [False, False, True]


def test_first_of_two_equal_values_wins_as_in_php_fpm() -> None:
    values = (value("php_value", "precision", "1"), value("php_value", "precision", "2"))

    ini = order(replace(POOL, php_values=values)).ini

    assert [text for _name, text, _admin in ini] == ["2", "1"]


def test_script_of_a_chrooted_pool_is_preloaded_as_its_user_unless_it_says_otherwise() -> None:
    own = value("php_admin_value", "opcache.preload_user", "nobody")
    chrooted = replace(POOL, chroot="/srv", php_values=(own,))

    assert [text for _name, text, _admin in order(chrooted).ini] == ["www-data", "nobody"]
    assert [text for _name, text, _admin in order(chrooted, as_root=False).ini] == ["nobody"]


def test_allowed_clients_are_handed_on_as_networks() -> None:
    told = order(replace(POOL, listen_allowed_clients="127.0.0.1,xxx"))

    assert told.allowed_clients == (("00000000000000000000ffff7f000001", 128),)
    assert told.client_complaints == ("Wrong IP address 'xxx' in listen.allowed_clients",)


def test_list_without_a_good_address_is_no_missing_list() -> None:
    assert order(replace(POOL, listen_allowed_clients="xxx")).allowed_clients == ()


def test_over_a_socket_file_nobody_complains_about_the_list() -> None:
    told = order(replace(POOL, listen="/run/fpm.sock", listen_allowed_clients="xxx"))

    # A socket that is inherited may be another one, so the list itself goes along.
    assert (told.allowed_clients, told.client_complaints) == ((), ())


def test_without_allowed_clients_everybody_is_allowed() -> None:
    assert order().allowed_clients is None


def test_ping_answers_pong_unless_told_otherwise() -> None:
    assert order().ping_response == "pong"
    assert order(replace(POOL, ping_response="here")).ping_response == "here"


def test_extensions_are_separated_by_one_space() -> None:
    assert order(replace(POOL, security_limit_extensions=" .php\t.phar  ")).extensions == ".php .phar"


def test_gentle_stop_has_time_unless_the_configuration_says_otherwise() -> None:
    unset = Global()
    none = Global(process_control_timeout=0, written=frozenset({"process_control_timeout"}))
    ten = Global(process_control_timeout=10, written=frozenset({"process_control_timeout"}))

    assert quit_timeout(unset) == stop_ladder.DEFAULT_QUIT_TIMEOUT
    assert quit_timeout(none) == 0.0
    assert (order(general=ten).quit_timeout, order(general=ten).control_timeout) == (10.0, 10.0)
