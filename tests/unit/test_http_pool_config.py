"""The configuration of the pool behind the front."""

from kraal.http.pool_config import Pool, configuration


def test_pool_of_root_names_its_user_everywhere() -> None:
    lines = configuration(Pool("/tmp/x/php.sock", 3, user="alice", group="staff")).splitlines()

    assert {"user = alice", "group = staff", "listen.owner = alice", "listen.group = staff"} <= set(lines)
    assert {"listen = /tmp/x/php.sock", "pm = static", "pm.max_children = 3"} <= set(lines)


def test_pool_without_root_names_no_user() -> None:
    text = configuration(Pool("/tmp/x/php.sock", 4))

    assert "user =" not in text
    assert "group =" not in text
    assert "owner =" not in text
