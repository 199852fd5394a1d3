"""What the loader says about a pool's socket: owners, allowed clients, one address for two pools."""

import pytest

from tests.unit.test_config_settle import BARE, GOOD, decide, notices, refused

UNIX = "[w]\nuser = www\n" + BARE
SECOND = "[b]\nuser = www\nlisten = {}\npm = static\npm.max_children = 1\n"
NO_USER = "[pool {}] cannot get uid for user 'aaa': no such user (f.conf:6)"
NO_GROUP = "[pool {}] cannot get gid for group 'aaa': no such group (f.conf:6)"


def test_owner_that_nobody_knows_is_told() -> None:
    assert refused(UNIX + "listen.owner = aaa\n") == [NO_USER.format("w")]
    assert refused(UNIX + "listen.group = aaa\n") == [NO_GROUP.format("w")]


@pytest.mark.parametrize("line", ["listen.owner = aaa", "listen.group = aaa"])
def test_owner_of_no_socket_file_is_looked_up_in_a_test_only(line: str) -> None:
    texts = {"listen.owner = aaa": NO_USER, "listen.group = aaa": NO_GROUP}

    decide(GOOD + line + "\n")
    assert refused(GOOD + line + "\n", testing=True) == [texts[line].format("www")]


@pytest.mark.parametrize("name", ["listen.acl_users", "listen.acl_groups"])
def test_owner_who_is_ignored_for_a_list_is_looked_up_in_a_test_only(name: str) -> None:
    text = UNIX + f"listen.owner = aaa\n{name} = nobody\n"

    decide(text)
    assert refused(text, testing=True) == [NO_USER.format("w")]


def test_member_of_a_list_whom_nobody_knows_does_not_fail_a_test() -> None:
    text = UNIX + "listen.acl_users = www,aaa\nlisten.acl_groups = web,bbb\n"

    assert notices(text) == []
    assert notices(text, testing=True) == [
        "WARNING: [pool w] the ACL of the socket: cannot get uid for user 'aaa'",
        "WARNING: [pool w] the ACL of the socket: cannot get gid for group 'bbb'",
    ]


def test_wrong_clients_are_told_as_a_warning() -> None:
    assert notices(GOOD + "listen.allowed_clients = 127.0.0.1,xxx\n") == [
        "WARNING: [pool www] Wrong IP address 'xxx' in listen.allowed_clients"
    ]


@pytest.mark.parametrize("value", ["", "xxx"])
def test_list_that_lets_nobody_in_is_told(value: str) -> None:
    assert notices(GOOD + f"listen.allowed_clients = {value}\n") == [
        f"WARNING: [pool www] Wrong IP address '{value}' in listen.allowed_clients",
        "WARNING: [pool www] There are no allowed addresses",
    ]


@pytest.mark.parametrize("other", ["09000", "[::]:9000", "[::1]:9000"])
def test_one_address_in_two_spellings_is_refused(other: str) -> None:
    complaint = "unable to set listen address as it's already used in another pool 'www'"

    assert refused(GOOD + SECOND.format(other)) == [f"[pool b] {complaint} (f.conf:8)"]


def test_thousand_pools_have_a_thousand_addresses() -> None:
    text = "".join(SECOND.replace("[b]", f"[b{n}]").format(f"127.0.0.1:{10_000 + n}") for n in range(1000))

    assert len(decide(text).pools) == 1000
