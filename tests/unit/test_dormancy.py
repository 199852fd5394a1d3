"""Pools that sleep, and what wakes them."""

import os
from collections.abc import Iterator

import pytest

from kraal.config.model import Pm, Pool
from kraal.errors import Place
from kraal.master.dormancy import Dormancy, may_sleep, rehearsed
from kraal.unix.loop import Loop


def pool(name: str, pm: Pm = Pm.ONDEMAND) -> Pool:
    return Pool(name=name, at=Place("pool.conf"), pm=pm)


@pytest.mark.parametrize(("pm", "sleeps"), [(Pm.STATIC, False), (Pm.DYNAMIC, False), (Pm.ONDEMAND, True)])
def test_pool_may_sleep_if_it_can_be_without_workers(pm: Pm, sleeps: bool) -> None:
    assert may_sleep(pool("www", pm)) is sleeps


@pytest.mark.parametrize(
    ("pools", "expected"),
    [
        ([], None),
        ([pool("www")], "www"),
        ([pool("www"), pool("shop")], "www"),
        ([pool("www"), pool("shop", Pm.DYNAMIC)], None),
    ],
)
def test_one_pool_is_rehearsed_where_none_is_started_anyway(pools: list[Pool], expected: str | None) -> None:
    found = rehearsed(pools)

    assert (found.name if found else None) == expected


class Scene:
    """Two pools with two doors each; who knocks writes a byte."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.pipes = {name: (os.pipe(), os.pipe()) for name in ("www", "shop")}
        self.woken: list[str] = []
        self.dormancy = Dormancy(self.loop, self.doors, self.woken.append)

    def doors(self, pool: str) -> tuple[int, ...]:
        return tuple(ours for ours, _theirs in self.pipes[pool])

    def knock(self, pool: str, door: int = 0) -> None:
        os.write(self.pipes[pool][door][1], b"x")

    def go_on(self) -> list[str]:
        self.loop.call_later(0.01, self.loop.stop)
        self.loop.run()
        return self.woken

    def close(self) -> None:
        self.dormancy.end_all()
        self.loop.close_in_child()
        for pair in self.pipes.values():
            for ours, theirs in pair:
                os.close(ours)
                os.close(theirs)


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.close()


@pytest.mark.parametrize("door", [0, 1])
def test_whoever_knocks_wakes_the_pool_once(scene: Scene, door: int) -> None:
    scene.dormancy.begin("www")
    scene.dormancy.begin("shop")
    scene.knock("www", door)

    assert scene.go_on() == ["www"]
    assert scene.go_on() == ["www"]
    assert "www" not in scene.dormancy
    assert "shop" in scene.dormancy


def test_knocking_at_all_doors_at_once_wakes_once(scene: Scene) -> None:
    scene.dormancy.begin("www")
    scene.knock("www", 0)
    scene.knock("www", 1)

    assert scene.go_on() == ["www"]


def test_who_knocked_before_the_pool_slept_is_heard(scene: Scene) -> None:
    scene.knock("www")
    scene.dormancy.begin("www")

    assert scene.go_on() == ["www"]


def test_pool_that_sleeps_already_sleeps_on(scene: Scene) -> None:
    scene.dormancy.begin("www")
    scene.dormancy.begin("www")
    scene.knock("www")

    assert scene.go_on() == ["www"]


def test_nobody_is_heard_after_the_end(scene: Scene) -> None:
    scene.dormancy.begin("www")
    scene.dormancy.end_all()
    scene.knock("www")

    assert scene.go_on() == []
