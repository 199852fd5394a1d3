"""The text format of Prometheus, version 0.0.4.  Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum

from kraal.fields import Frozen

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Kind(Enum):
    """What a family is."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Sample(Frozen):
    """One line.  `suffix` is what a histogram puts behind the name."""

    value: int | float
    labels: Mapping[str, str]
    suffix: str = ""


class Family(Frozen):
    """All samples of one name."""

    name: str
    kind: Kind
    meaning: str
    samples: Sequence[Sample]


def histogram(
    bounds: Sequence[float], buckets: Sequence[int], total: float, labels: Mapping[str, str]
) -> Iterator[Sample]:
    """The samples of one.  There is one bucket more than bounds; they are not added up yet."""
    count = 0
    for bound, number in zip([*map(repr, bounds), "+Inf"], buckets, strict=True):
        count += number
        yield Sample(count, {**labels, "le": bound}, "_bucket")
    yield Sample(total, labels, "_sum")
    yield Sample(count, labels, "_count")


def render(families: Iterable[Family]) -> str:
    """All of it.  A family without samples is left out."""
    return "".join(line for family in families if family.samples for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {family.meaning}\n# TYPE {family.name} {family.kind.value}\n"
    for each in family.samples:
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in each.labels.items())
        braces = f"{{{labels}}}" if labels else ""
        yield f"{family.name}{each.suffix}{braces} {each.value}\n"


def _escaped(text: str) -> str:
    # What a carriage return or a lone half of a character would do to a reader, nobody has laid down.
    shown = "".join(character if character.isprintable() else "\ufffd" for character in text)
    return shown.replace("\\", "\\\\").replace('"', '\\"')
