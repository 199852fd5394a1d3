"""What one master leaves to the next."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraal.reload.estate import (
    Board,
    Estate,
    Inheritance,
    Ledger,
    Socket,
    Task,
    Tenant,
    inheritance_from,
    kept_boards,
    restored,
    retired,
    task_from,
    to_text,
)

names = st.binary(max_size=20).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
numbers = st.integers(min_value=-1, max_value=2**31)
sockets = st.builds(
    Socket,
    pool=names,
    fd=numbers,
    key=names,
    ours=st.booleans(),
    identity=st.none() | st.tuples(numbers, numbers),
)
tenants = st.builds(
    Tenant,
    pool=names,
    pid=numbers,
    fd=numbers,
    started=st.floats(allow_nan=False, allow_infinity=False),
    serving=st.booleans(),
    decorated=st.booleans(),
    fingerprint=names,
    patience=st.none() | st.floats(min_value=0, max_value=1e6),
)
boards = st.builds(Board, pool=names, fd=numbers, fingerprint=names, manager=numbers)
estates = st.builds(
    Estate,
    sockets=st.lists(sockets, max_size=3).map(tuple),
    tenants=st.lists(tenants, max_size=3).map(tuple),
    boards=st.lists(boards, max_size=3).map(tuple),
    ledgers=st.lists(st.builds(Ledger, pool=names, fd=numbers), max_size=3).map(tuple),
    pid_file=st.none() | names,
    daemonized=st.booleans(),
    report=numbers,
    orphans=st.lists(numbers, max_size=3).map(tuple),
    orphan_workers=numbers,
    nice=st.none() | numbers,
)


@given(st.builds(Task, master=numbers, estate=estates, changed_only=st.booleans(), line=numbers))
def test_task_arrives_whole(task: Task) -> None:
    assert task_from(to_text(task)) == task


@given(st.builds(Inheritance, old=estates, new=estates, kept=st.lists(names).map(tuple), config=numbers))
def test_inheritance_arrives_whole(inheritance: Inheritance) -> None:
    assert inheritance_from(to_text(inheritance)) == inheritance


def test_what_another_version_says_more_or_less_does_no_harm() -> None:
    plain = json.loads(to_text(Task(master=1, estate=Estate(tenants=(Tenant(pool="www", pid=7),)))))
    plain["new"] = plain["estate"]["new"] = plain["estate"]["tenants"][0]["new"] = "unknown"
    del plain["line"], plain["estate"]["orphans"], plain["estate"]["tenants"][0]["patience"]

    assert task_from(json.dumps(plain)) == Task(master=1, estate=Estate(tenants=(Tenant(pool="www", pid=7),)))


@pytest.mark.parametrize("text", ["", "[]", "nothing"])
def test_what_is_no_estate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        task_from(text)


@given(estates)
def test_descriptors_get_other_numbers_in_their_order(estate: Estate) -> None:
    numbered = estate.numbered(lambda fd: fd + 100)

    assert numbered.descriptors() == tuple(fd + 100 for fd in estate.descriptors())
    assert numbered.numbered(lambda fd: fd - 100) == estate


A, B, C = (Socket(pool=name, key=f"/run/{name}", identity=(1, number)) for number, name in enumerate("abc"))


def test_socket_is_retired_when_nobody_listens_on_its_address() -> None:
    moved = Socket(pool="other", key=B.key, identity=B.identity)

    assert retired([A, B], [moved, C]) == (A,)


def test_inherited_socket_belongs_to_whom_it_belonged_to_before() -> None:
    lent = Socket(pool="a", fd=9, key=A.key, ours=False, identity=A.identity)
    systemd = Socket(pool="b", key="127.0.0.1:9000", ours=False)
    opened_anew = Socket(pool="c", key=C.key, ours=True, identity=(1, 99))

    assert [each.ours for each in restored([A, systemd, C], [lent, systemd, opened_anew])] == [
        True,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("kept", "leaving", "expected"),
    [
        (["www", "shop"], [], ["www", "shop"]),
        (["www"], [], ["www"]),
        (["www"], [7], []),
        (["www"], [8], ["www"]),
        ([], [], []),
    ],
    ids=["both stay", "one stays", "its manager leaves", "an older one leaves", "none stays"],
)
def test_scoreboard_stays_with_its_pool_unless_somebody_who_leaves_writes_to_it(
    kept: list[str], leaving: list[int], expected: list[str]
) -> None:
    old = Estate(boards=(Board(pool="www", manager=7), Board(pool="shop", manager=9)))

    found = kept_boards(old, kept, [Tenant(pool="www", pid=pid) for pid in leaving])

    assert [each.pool for each in found] == expected
