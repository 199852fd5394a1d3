import json
import pickle
from typing import Any

import pytest

from kraal.fields import Frozen, Mutable, field, names, replace


class Point(Frozen):
    x: int
    y: int = 0


class Named(Frozen, kw_only=True):
    name: str
    at: Point = Point(0)
    notes: list[str] = field(default_factory=list)


class Count(Mutable):
    number: int = 0


def test_fields_are_given_in_order_or_by_name_or_have_their_default() -> None:
    assert vars(Point(1)) == vars(Point(x=1, y=0)) == {"x": 1, "y": 0}
    assert names(Named) == ("name", "at", "notes")


@pytest.mark.parametrize(
    ("kind", "args", "given"),
    [
        (Point, (), {}),
        (Point, (1, 2, 3), {}),
        (Point, (1,), {"x": 1}),
        (Point, (1,), {"z": 1}),
        (Named, ("somebody",), {}),
    ],
)
def test_fields_that_are_missing_unknown_or_given_twice_are_refused(
    kind: type[Frozen], args: tuple[int, ...], given: dict[str, Any]
) -> None:
    with pytest.raises(TypeError):
        kind(*args, **given)


def test_frozen_are_values() -> None:
    assert Point(1) == Point(1, 0)
    assert Point(1) != Point(2)
    assert Point(1) != (1, 0)
    assert len({Point(1), Point(1), Point(2)}) == 2
    assert repr(Point(1)) == "Point(x=1, y=0)"
    assert pickle.loads(pickle.dumps(Point(1))) == Point(1)


def test_frozen_do_not_change() -> None:
    point: Any = Point(1)

    with pytest.raises(AttributeError):
        point.x = 2
    with pytest.raises(AttributeError):
        del point.x
    assert replace(point, x=2) == Point(2)
    assert point == Point(1)


def test_mutable_change_and_equal_only_themselves() -> None:
    count = Count()
    count.number += 1

    assert count.number == 1
    assert count != Count(1)
    assert Count().number == 0


def test_default_of_a_factory_is_nobody_elses() -> None:
    first, second = Named(name="a"), Named(name="b")
    first.notes.append("seen")

    assert second.notes == []


def test_fields_can_be_written_as_json() -> None:
    assert json.loads(json.dumps(Named(name="a"), default=vars)) == {
        "name": "a",
        "at": {"x": 0, "y": 0},
        "notes": [],
    }


def test_fields_can_be_matched() -> None:
    match Point(3, 4):
        case Point(x, y=4):
            assert x == 3
        case _:
            pytest.fail("a value matches its class")
