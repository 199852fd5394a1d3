"""Flame graphs: what is written of sampled stacks."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from kraal.command import flame
from kraal.command.flame import Samples, Spot, folded, page, speedscope, stack_of
from kraal.memory.stack import Frame, Kind

TEMPLATE = (Path(flame.__file__).parent / "flame.html").read_text()
MAIN = Frame(kind=Kind.MAIN, file="/srv/a.php", line=7, first_line=1)
WORK = Frame(name="work", class_name="Shop", has_object=True, file="/srv/b.php", line=21, first_line=20)
SLEEP = Frame(name="sleep")
HOSTILE = "</script><script>alert(1)</script><!-- ' \" & ; \n\u2028 {${x}}"


def samples() -> Samples:
    found = Samples("pool www", 100.0)
    for _ in range(3):
        found.add(stack_of("GET /a", (SLEEP, WORK, MAIN)))
    found.add(stack_of("GET /a", (WORK, MAIN)))
    return found


def hostile() -> Samples:
    found = Samples(HOSTILE, 100.0)
    found.add(stack_of(HOSTILE, (Frame(name=HOSTILE, file=HOSTILE, class_name=HOSTILE), MAIN)))
    return found


def content(text: str) -> Any:
    """What the page's script reads."""
    (found,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', text, re.S)
    return json.loads(found)


def test_stack_begins_with_the_request_and_the_outermost_frame() -> None:
    assert stack_of("GET /a", (SLEEP, WORK, MAIN)) == (
        Spot("GET /a"),
        Spot("{main} /srv/a.php", "/srv/a.php", 1),
        Spot("Shop->work", "/srv/b.php", 20),
        Spot("sleep"),
    )


def test_folded_has_a_line_for_each_stack() -> None:
    assert folded(samples()).splitlines() == [
        "GET /a;{main} /srv/a.php;Shop->work 1",
        "GET /a;{main} /srv/a.php;Shop->work;sleep 3",
    ]


def test_folded_lines_keep_their_form_whatever_names_say() -> None:
    (line,) = folded(hostile()).splitlines()

    assert line.isprintable()
    assert line.count(";") == 2
    assert line.endswith(" 1")


def test_speedscope_has_every_frame_once_and_seconds() -> None:
    found = json.loads(speedscope(samples(), "kraal 1"))

    (profile,) = found["profiles"]
    names = [frame["name"] for frame in found["shared"]["frames"]]
    assert len(names) == len(set(names)) == 4
    assert [[names[number] for number in row] for row in profile["samples"]] == [
        ["GET /a", "{main} /srv/a.php", "Shop->work"],
        ["GET /a", "{main} /srv/a.php", "Shop->work", "sleep"],
    ]
    assert profile["weights"] == pytest.approx([0.01, 0.03])
    assert profile["endValue"] == pytest.approx(0.04)
    assert found["$schema"] == "https://www.speedscope.app/file-format-schema.json"


def test_page_has_boxes_as_wide_as_their_samples_and_inside_of_their_parent() -> None:
    nodes = content(page(samples(), TEMPLATE))["nodes"]

    assert [(depth, left, width, name) for depth, left, width, name, _file, _line in nodes] == [
        (0, 0, 4, "all"),
        (1, 0, 4, "GET /a"),
        (2, 0, 4, "{main} /srv/a.php"),
        (3, 0, 4, "Shop->work"),
        (4, 0, 3, "sleep"),
    ]


def test_no_name_gets_out_of_the_page_s_data() -> None:
    text = page(hostile(), TEMPLATE)

    assert text.count("<script") == TEMPLATE.count("<script")
    assert text.count("</script") == TEMPLATE.count("</script")
    assert content(text)["title"] == HOSTILE


def test_page_needs_nothing_from_elsewhere() -> None:
    assert not re.findall(r"(?:src|href)=|https?:|@import|url\(", TEMPLATE)
    assert "default-src 'none'" in TEMPLATE
    # Names are text and never markup.
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", TEMPLATE)


def test_stack_deeper_than_python_s_own_is_no_trouble() -> None:
    found = Samples("deep", 100.0)
    found.add(stack_of("GET /", (WORK,) * 5000))

    assert len(content(page(found, TEMPLATE))["nodes"]) == 5002


def test_without_a_sample_the_forms_are_whole_all_the_same() -> None:
    empty = Samples("pool www", 100.0, idle=10)

    assert folded(empty) == ""
    assert json.loads(speedscope(empty, "kraal"))["profiles"][0]["samples"] == []
    assert content(page(empty, TEMPLATE))["nodes"] == [[0, 0, 0, "all", "", 0]]
    assert empty.summary() == "0 stacks, 10 times idle, 0 times outside of PHP code, 0 times moved"
