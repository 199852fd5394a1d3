"""The figures for Prometheus, as text."""

import mmap
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from kraal.memory import ledger
from kraal.memory.ledger import BOUNDS, Entries, Histogram
from kraal.memory.opcache import opcache
from kraal.memory.scoreboard import PoolState, Scoreboard, size_for
from kraal.metrics.exposition import Family, Kind, Sample, histogram, render
from kraal.metrics.families import PoolView, Told, View, families, standings
from kraal.reload.report import Report
from tests.support.metrics import figures, kinds

NOTHING = PoolState(
    started_at=0, accepted=0, slow=0, max_active=0, max_children_reached=0, opcache=opcache(range(1, 14))
)
PAGE = Path(__file__).parents[2] / "docs/monitoring.md"


def shown(state: PoolState = NOTHING, entries: Entries | None = None, name: str = "www") -> str:
    pool = PoolView(name=name, state=state, entries=entries or Entries(), pss=0)
    view = View("1", Report(3, "no", failed=1), [pool])
    return render([*families(view), *standings(Told(["www"]))])


def test_buckets_are_added_up() -> None:
    samples = list(histogram([0.5, 1.0], [1, 0, 2], 7.5, {"pool": "www"}))

    assert [each.value for each in samples] == [1, 1, 3, 7.5, 3]
    assert [each.labels.get("le") for each in samples] == ["0.5", "1.0", "+Inf", None, None]


def test_family_without_samples_is_left_out() -> None:
    assert render([Family("kraal_none", Kind.GAUGE, "Nothing.", [])]) == ""


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ('a"b', 'a"b'),
        ("a\\b", "a\\b"),
        ("a\\nb", "a\\nb"),
        ("a\nb} 1", "a\ufffdb} 1"),
        ("\r\x1b\ud800\u202e", "\ufffd" * 4),
        ("müll", "müll"),
    ],
)
def test_label_is_read_as_it_was_or_without_what_readers_stumble_over(value: str, read: str) -> None:
    text = render([Family("x", Kind.GAUGE, "X.", [Sample(1, {"pool": value})])])

    (family,) = text_string_to_metric_families(text)
    assert family.samples[0].labels == {"pool": read}
    assert text.encode().count(b"\n") == 3


@given(st.text())
def test_no_label_breaks_the_text(value: str) -> None:
    assert len(figures(shown(name=value))) == len(figures(shown()))


@settings(max_examples=40)
@given(st.data())
def test_whatever_stands_in_the_memory_gives_figures(data: st.DataObject) -> None:
    size = size_for(2)
    memory = mmap.mmap(-1, size)
    Scoreboard(memory).initialize()
    junk = data.draw(st.binary(min_size=64, max_size=64))
    kept = memory[:12]
    memory[:] = (junk * (size // 64 + 1))[:size]
    memory[:12] = kept
    book = ledger.read(ledger.fresh()[:8] + (junk * 64)[: ledger.SIZE - 8])

    found = figures(shown(Scoreboard(memory).read(), book))

    missing = figures(shown()).keys() - found.keys()
    assert {name for name, _labels in missing if not name.startswith("kraal_opcache_")} == set()
    assert found.keys() <= figures(shown()).keys()
    assert all(abs(value) < 1e22 for value in found.values())


def test_all_buckets_are_there_and_the_last_counts_everything() -> None:
    entries = Entries(durations=Histogram(tuple(range(len(BOUNDS) + 1)), 5 * 10**9))
    found = figures(shown(entries=entries))

    name = "kraal_request_duration_seconds"
    assert found[f"{name}_bucket", ("www", "+Inf")] == found[f"{name}_count", ("www",)] == sum(range(16))
    assert found[f"{name}_sum", ("www",)] == 5
    assert {key[1][1] for key in found if key[0] == f"{name}_bucket"} == {*map(repr, BOUNDS), "+Inf"}


def test_reloads_are_counted_by_their_end() -> None:
    found = figures(shown())

    assert found["kraal_reloads_total", ("succeeded",)] == 2
    assert found["kraal_reloads_total", ("failed",)] == 1
    assert found["kraal_last_reload_successful", ()] == 0


def test_pools_are_as_the_master_says() -> None:
    found = figures(render(standings(Told(up=["www"], down=["shop"]))))

    assert found == {("kraal_up", ()): 1, ("kraal_pool_up", ("shop",)): 0, ("kraal_pool_up", ("www",)): 1}
    assert figures(render(standings(None))) == {("kraal_up", ()): 0}


def test_page_names_every_figure_with_its_kind() -> None:
    rows = re.findall(r"^\| `(kraal_\w+)` \| (\w+) \|", PAGE.read_text(), re.M)
    # The parser takes the ending of counters off their names.
    found = {name.removesuffix("_total"): kind for name, kind in rows}

    assert found == kinds(shown())
