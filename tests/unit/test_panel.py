"""What `kraal top` shows, and what keys do to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraal.fields import replace
from kraal.observe.tables import Row
from kraal.top import cells, panel
from kraal.top.panel import HELP, Order, Picture, Show, Style, View


def pool(name: str, *, active: int = 0) -> Row:
    return {
        "pool": name,
        "idle": 3,
        "active": active,
        "most": 5,
        "max": 8,
        "queue": 0,
        "queue limit": 511,
        "rate": 12.3,
        "cpu": None,
        "pss": 34 << 20,
        "rss": 99 << 20,
        "slow": 1,
    }


def worker(pid: int, *, pool: str = "www", state: str = "running", url: str = "/", time: float = 1.5) -> Row:
    return {
        "pid": pid,
        "pool": pool,
        "state": state,
        "time": time if state != "idle" else None,
        "requests": 7,
        "cpu": 50.0,
        "pss": 9 << 20,
        "rss": None,
        "method": "GET",
        "url": url,
        "script": f"/srv{url}",
    }


PICTURE = Picture(
    head=("kraal top", "2 pools"),
    pools=[pool("www", active=1), pool("shop", active=2)],
    workers=[
        worker(1, url="/slow", time=9.5),
        worker(2, state="idle"),
        worker(3, pool="shop", url="/cart"),
    ],
)


def shown(view: View, picture: Picture = PICTURE, rows: int = 24, columns: int = 80) -> str:
    return "\n".join(line.text.rstrip() for line in panel.lines(view, picture, rows, columns))


def test_screen_has_head_pools_and_workers_those_that_run_longest_first() -> None:
    assert shown(View()) == (
        "kraal top\n"
        "2 pools\n"
        "? for help, q to quit\n"
        "pool            idle ACTIVE  most   max queue limit  req/s  cpu%   pss  slow\n"
        "shop               3      2     5     8     0   511   12.3     - 34.0M     1\n"
        "www                3      1     5     8     0   511   12.3     - 34.0M     1\n"
        "\n"
        "    pid pool       state       TIME  reqs  cpu%   pss method url\n"
        "      1 www        running    9.50s     7  50.0  9.0M GET    /slow\n"
        "      3 shop       running    1.50s     7  50.0  9.0M GET    /cart\n"
        "      2 www        idle           -     7  50.0  9.0M GET    /"
    )


def test_wide_screens_show_more_columns() -> None:
    assert "script" not in shown(View(), columns=139)
    assert "/srv/cart" in shown(View(), columns=140)
    assert "rss" in shown(View(), columns=100)


hostile = st.text(max_size=60)


@given(
    name=hostile,
    url=hostile,
    part=hostile,
    rows=st.integers(1, 40),
    columns=st.integers(1, 160),
    show=st.sampled_from(Show),
    typing=st.booleans(),
)
def test_every_line_fits_the_screen_whatever_it_says(
    name: str, url: str, part: str, rows: int, columns: int, show: Show, typing: bool
) -> None:
    picture = replace(
        PICTURE, pools=[pool(name)], workers=[worker(1, pool=name, url=url)], alarm=f"{name} {url}"
    )
    lines = panel.lines(View(show=show, filter=part, typing=typing), picture, rows, columns)

    assert len(lines) <= rows
    assert {cells.width(line.text) for line in lines} == {columns}
    assert all(cells.plain(line.text) == line.text for line in lines)


def test_text_for_no_screen_has_everything() -> None:
    picture = replace(PICTURE, workers=[worker(pid) for pid in range(1, 500)])
    text = panel.text(View(), picture, 80)

    assert len(text.splitlines()) == 3 + 3 + 1 + 500
    assert "? for help" not in text


def test_pools_leave_room_for_workers_on_a_small_screen() -> None:
    picture = replace(PICTURE, pools=[pool(f"p{number}") for number in range(50)])
    text = shown(View(), picture)

    assert "36 more pools: Tab shows them" in text
    assert "/slow" in text
    assert "/slow" in shown(View(), picture, rows=12)


def test_help_fits_the_smallest_screen() -> None:
    assert all(len(line) <= 80 for line in HELP.splitlines())
    assert len(HELP.splitlines()) <= 24 - 3
    assert "quit" in shown(View(help=True))


@pytest.mark.parametrize(
    ("before", "key", "after"),
    [
        (View(), "q", View(ended=True)),
        (View(), "?", View(help=True)),
        (View(help=True), "x", View()),
        (View(help=True), "q", View(ended=True)),
        (View(first=3), "Tab", View(show=Show.POOLS)),
        (View(show=Show.POOLS), "Tab", View(show=Show.WORKERS)),
        (View(show=Show.WORKERS), "Tab", View()),
        (View(), "p", View(paused=True)),
        (View(paused=True), " ", View()),
        (View(), "i", View(idle=False)),
        (View(filter="www"), "f", View(typing=True)),
        (View(), "+", View(interval=4.0)),
        (View(interval=0.25), "-", View(interval=0.25)),
        (View(), "Right", View(workers=Order("requests", largest_first=True))),
        (View(), "Left", View(workers=Order("state", largest_first=False))),
        (View(workers=Order("pid", False)), "Left", View(workers=Order("script", largest_first=False))),
        (View(show=Show.POOLS), ">", View(show=Show.POOLS, pools=Order("most", largest_first=True))),
        (View(), "r", View(workers=Order("time", largest_first=False))),
        (View(), "Down", View(first=1)),
        (View(), "Up", View()),
        (View(first=30), "PgUp", View(first=20)),
        (View(first=30), "Home", View()),
        (View(), "", View()),
        (View(), "\x00", View()),
        (View(typing=True, filter="ww"), "w", View(typing=True, filter="www")),
        (View(typing=True, filter="q"), "q", View(typing=True, filter="qq")),
        (View(typing=True, filter="ww"), "Backspace", View(typing=True, filter="w")),
        (View(typing=True, filter="ww"), "Escape", View()),
        (View(typing=True, filter="ww"), "Enter", View(filter="ww")),
        (View(typing=True), "Left", View(typing=True)),
        (View(typing=True), "\x1b", View(typing=True)),
    ],
)
def test_keys(before: View, key: str, after: View) -> None:
    assert panel.pressed(before, key) == after


@pytest.mark.parametrize(
    ("order", "pids"),
    [
        (Order("time", largest_first=True), [1, 3, 2]),
        (Order("time", largest_first=False), [3, 1, 2]),
        (Order("url", largest_first=False), [2, 3, 1]),
        (Order("rss", largest_first=True), [1, 2, 3]),
        (Order("pid", largest_first=True), [3, 2, 1]),
    ],
)
def test_rows_are_sorted_and_what_is_not_known_comes_last(order: Order, pids: list[int]) -> None:
    assert [row["pid"] for row in panel.chosen(PICTURE.workers, order, "")] == pids


def test_pools_are_chosen_by_a_part_of_their_names() -> None:
    text = shown(View(filter="sho"))
    assert "pools with sho" in text
    assert "/cart" in text
    assert "/slow" not in text


def test_idle_workers_are_left_out_on_demand() -> None:
    assert "idle  " not in shown(View(idle=False)).partition("method")[2]


def test_lower_table_moves() -> None:
    assert "/slow" not in shown(View(first=1))
    assert "/cart" in shown(View(first=1))


def test_what_is_wrong_is_said() -> None:
    lines = panel.lines(View(paused=True), replace(PICTURE, alarm="the master has ended"), 24, 80)
    assert lines[2].text.rstrip() == "the master has ended; paused"
    assert lines[2].style is Style.ALARM
