"""What `kraal metrics` says, as a program that knows the format reads it."""

import subprocess
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from kraal.metrics.exposition import render
from kraal.metrics.families import families
from kraal.metrics.sight import Sight
from tests.support.servers import FpmServer, executable

Figures = Mapping[tuple[str, tuple[str, ...]], float]


def text(server: FpmServer) -> str:
    """What the command prints."""
    argv = [*executable("kraal"), "metrics", "--pid", str(server.pid)]
    done = subprocess.run(argv, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def now(master: int) -> Figures:
    """The same without the command, which takes a while to start."""
    return figures(render(families(Sight(master).look())))


def figures(text: str) -> Figures:
    """Every sample: its name and the values of its labels, in the order of the text, give its value."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, tuple(sample.labels.values())
            assert key not in found, f"{key} is there twice"
            found[key] = sample.value
    return found


def kinds(text: str) -> dict[str, str]:
    """The kind of every family, and that each has a meaning."""
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation for family in families)
    return {family.name: family.type for family in families}


def answers(found: Figures, pool: str = "www") -> dict[str, int]:
    """How many requests were answered, by status; what there was none of is left out."""
    return {
        labels[1]: int(value)
        for (name, labels), value in found.items()
        if name == "kraal_requests_total" and labels[0] == pool and value
    }


def drops(before: Figures, after: Figures) -> list[tuple[str, tuple[str, ...]]]:
    """The totals that have become less."""
    totals = [key for key in before if key[0].endswith(("_total", "_bucket", "_sum", "_count"))]
    return [key for key in totals if after.get(key, 0) < before[key]]
