"""process.max: whatever managers claim and whenever they hear of grants, there are never too many workers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraal.manager.process_max import ProcessMax
from kraal.master.budget import Budget, Claim, Message
from kraal.unix.process import Pid

A, B, C = Pid(1), Pid(2), Pid(3)


@pytest.mark.parametrize(
    ("most", "claims", "granted"),
    [
        (3, [(A, 2), (B, 2)], {A: 2, B: 1}),
        (4, [(A, 2), (B, 2)], {A: 2, B: 2}),
        (2, [(A, 2), (B, 1), (A, 1)], {A: 1, B: 1}),
        (2, [(A, 2), (B, 1), (C, 1), (A, 1)], {B: 1, C: 0}),
        (2, [(A, 2), (C, 1), (B, 1), (A, 1)], {B: 0, C: 1}),
        (2, [(A, 1), (B, 1), (A, 2), (C, 1), (A, 3), (B, 0)], {A: 2, C: 0}),
        (2, [(A, 2), (B, 1), (C, 1), (B, 0), (A, 1)], {B: 0, C: 1}),
        (0, [(A, 1)], {A: 0}),
        (-1, [(A, 1)], {A: 0}),
    ],
)
def test_who_claims_first_is_served_first(
    most: int, claims: list[tuple[Pid, int]], granted: dict[Pid, int]
) -> None:
    budget = Budget(most)
    for serial, (manager, wanted) in enumerate(claims):
        budget.claim(manager, serial, wanted)
        list(budget.serve())
    assert {manager: budget[manager].granted for manager in granted} == granted


def test_orphans_count_until_they_are_gone_but_not_those_that_were_never_granted() -> None:
    budget = Budget(3)
    budget.claim(A, 1, 2)
    list(budget.serve())
    budget.bury(A, 50)
    budget.claim(B, 1, 3)
    assert list(budget.serve()) == [B]
    assert budget[B].granted == 1
    budget.count_orphans(1)
    assert list(budget.serve()) == [B]
    assert budget[B].granted == 2
    budget.count_orphans(0)
    list(budget.serve())
    assert budget[B].granted == 3


def test_orphans_that_come_from_another_master_count_until_they_are_gone() -> None:
    before = Budget(3)
    before.claim(A, 1, 2)
    list(before.serve())
    before.bury(A, 50)
    budget = Budget(3)
    budget.take_orphans(before.orphans)
    budget.claim(B, 1, 3)
    list(budget.serve())
    assert budget[B].granted == 1
    budget.count_orphans(0)
    list(budget.serve())
    assert budget[B].granted == 3


def test_new_generation_gets_what_the_old_one_gives_back_and_that_is_no_shortage() -> None:
    budget = Budget(2)
    budget.restore(A, Claim(5, 2, 2, leaving=True))
    budget.restore(B, Claim(1, 2, 0))
    assert not list(budget.serve())
    assert not budget.is_exceeded
    budget.claim(A, 6, 1)
    assert list(budget.serve()) == [B]
    assert budget[B] == Claim(1, 2, 1)
    budget.bury(A, 0)
    list(budget.serve())
    assert budget[B].granted == 2
    budget.claim(C, 1, 1)
    assert budget.is_exceeded


@pytest.mark.parametrize("payload", [b"", b"1234567", b"123456789"])
def test_what_is_no_message_is_ignored(payload: bytes) -> None:
    assert Message.from_bytes(payload) is None


def test_without_a_limit_nothing_is_sent() -> None:
    sent: list[bytes] = []
    process_max = ProcessMax(sent.append, limited=False)
    assert process_max.share(3, 4) == 4
    assert not process_max.is_short
    assert not sent


def test_grant_for_an_older_claim_is_not_believed() -> None:
    sent: list[bytes] = []
    process_max = ProcessMax(sent.append, limited=True)
    assert process_max.share(0, 3) == 0
    assert process_max.share(0, 1) == 0
    process_max.hear(Message(1, 3).to_bytes())
    assert process_max.share(0, 1) == 0
    process_max.hear(Message(2, 1).to_bytes())
    assert process_max.share(0, 1) == 1
    assert [Message.from_bytes(each) for each in sent] == [Message(1, 3), Message(2, 1)]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["wish", "end", "to master", "to manager"]), st.integers(0, 2), st.integers(0, 4)
    ),
    max_size=60,
)


@given(most=st.integers(1, 5), steps=STEPS)
def test_never_more_workers_than_the_limit_and_none_is_lost(
    most: int, steps: list[tuple[str, int, int]]
) -> None:
    """Messages arrive in order, but at any time."""
    budget = Budget(most)
    to_master: list[list[bytes]] = [[], [], []]
    to_manager: list[list[bytes]] = [[], [], []]
    rations = [ProcessMax(queue.append, limited=True) for queue in to_master]
    living, wished = [0, 0, 0], [0, 0, 0]

    def fill(who: int) -> None:
        living[who] += rations[who].share(living[who], max(0, wished[who] - living[who]))
        assert sum(living) <= most

    def hear_claim(who: int) -> None:
        message = Message.from_bytes(to_master[who].pop(0))
        assert message
        budget.claim(Pid(who), message.serial, message.workers)
        for each in {*budget.serve(), Pid(who)}:
            to_manager[each].append(Message(budget[each].serial, budget[each].granted).to_bytes())

    def hear_grant(who: int) -> None:
        rations[who].hear(to_manager[who].pop(0))
        fill(who)

    for what, who, number in steps:
        if what == "wish":
            wished[who] = number
            fill(who)
        elif what == "end" and living[who]:
            living[who] -= 1
            fill(who)
        elif what == "to master" and to_master[who]:
            hear_claim(who)
        elif what == "to manager" and to_manager[who]:
            hear_grant(who)
    while any(to_master) or any(to_manager):
        for who in range(3):
            if to_master[who]:
                hear_claim(who)
            if to_manager[who]:
                hear_grant(who)
    needed = sum(max(living[who], wished[who]) for who in range(3))
    assert sum(living) == min(most, needed)
