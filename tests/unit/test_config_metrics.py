"""`metrics.listen` and what belongs to it."""

import pytest

from kraal.config.clients import parse_clients
from tests.unit.test_config_settle import GOOD, decide, refused

USER = "metrics.user = www\n"


def with_metrics(text: str) -> str:
    return f"[global]\n{USER}{text}\n{GOOD}"


def test_listens_as_a_pool_does_and_is_none() -> None:
    text = (
        "metrics.listen = run/m.sock\nmetrics.listen.owner = www\nmetrics.listen.group = web\n"
        "metrics.listen.mode = 0600\nmetrics.listen.allowed_clients = 10.0.0.1"
    )
    config = decide(with_metrics(text))

    assert [pool.name for pool in config.pools] == ["www"]
    made_up = config.listening[-1]
    assert made_up == config.metrics
    assert (made_up.name, made_up.listen, made_up.pages_of) == ("metrics", "/var/run/m.sock", "metrics")
    assert (made_up.socket_uid, made_up.socket_gid, made_up.socket_mode) == (33, 44, 0o600)
    assert made_up.account
    assert made_up.account.uid == 33
    assert made_up.allowed_clients == parse_clients("10.0.0.1")


def test_without_it_nothing_else_listens() -> None:
    assert decide(GOOD).metrics is None
    assert len(decide(GOOD).listening) == 1


def test_name_of_a_pool_is_left_to_the_pool() -> None:
    text = (
        with_metrics("metrics.listen = /m.sock")
        + "[metrics]\nuser = www\nlisten = /x\npm = static\npm.max_children = 1\n"
    )

    assert [pool.name for pool in decide(text).listening] == ["www", "metrics", "metrics_"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("metrics.listen = 127.0.0.1:x", "invalid port value"),
        ("metrics.listen = 9000", "already used in another pool 'www'"),
        ("metrics.listen = /m\nmetrics.listen.owner = ghost", "cannot get uid for user 'ghost'"),
        ("metrics.listen = /m\nmetrics.listen.group = ghost", "cannot get gid for group 'ghost'"),
        ("metrics.listen = /m\nmetrics.user = root", "other than root"),
        ("metrics.listen = /m\nmetrics.user = 0", "other than root"),
        ("metrics.listen = /m\nmetrics.user = ghost", "cannot get uid for user 'ghost'"),
        ("metrics.listen = 1.2.3.4:1\nmetrics.listen.allowed_clients = ::x", "::x"),
    ],
)
def test_mistake_is_told_with_its_line(text: str, complaint: str) -> None:
    error, *_others = refused(with_metrics(text))

    assert complaint in error
    assert "f.conf:" in error


def test_who_is_not_root_needs_no_other_user() -> None:
    text = with_metrics("metrics.listen = /m.sock\nmetrics.user = ghost")

    assert decide(text, as_root=False, uid=33).metrics
