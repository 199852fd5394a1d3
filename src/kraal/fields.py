"""Classes whose instances are nothing but their fields.

They are what dataclasses are, without the code that `dataclasses` writes and compiles for each class: that
was half of what importing kraal takes, and every start imports it twice (docs/performance.md, "Starts").
`vars` gives the fields, so `json.dumps(value, default=vars)` writes a value and those in it.
"""

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, dataclass_transform


class _Factory:
    """Makes a default for each instance."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


def field(*, default_factory: Callable[[], Any]) -> Any:
    """A field whose default is made anew for each instance."""
    return _Factory(default_factory)


class _Fields:
    _names: ClassVar[tuple[str, ...]] = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, *, kw_only: bool = False) -> None:
        cls._names = (*cls._names, *cls.__annotations__)
        cls.__match_args__ = () if kw_only else cls._names  # type: ignore[misc]

    def __init__(self, *args: Any, **given: Any) -> None:
        """Take the fields in their order or by name.  Raises TypeError for what is missing or unknown."""
        positional: tuple[str, ...] = self.__match_args__
        values = dict(zip(positional, args, strict=False))
        if len(args) > len(positional) or values.keys() & given.keys() or given.keys() - set(self._names):
            raise TypeError(f"{type(self).__name__} takes the fields {', '.join(self._names)}, each once")
        values |= given
        for name in self._names:
            self.__dict__[name] = values[name] if name in values else self._default(name)

    @classmethod
    def _default(cls, name: str) -> Any:
        try:
            default = getattr(cls, name)
        except AttributeError:
            raise TypeError(f"{cls.__name__} lacks {name}") from None
        return default.make() if isinstance(default, _Factory) else default

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._names)
        return f"{type(self).__name__}({shown})"


@dataclass_transform(field_specifiers=(field,))
class Mutable(_Fields):
    """Something with one owner, who changes it; equal only to itself."""


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Frozen(_Fields):
    """A value: it never changes, and equals others of its class with equal fields."""

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__.values()))


T = TypeVar("T", bound=Frozen)


def names(kind: type[Frozen]) -> tuple[str, ...]:
    """Of the fields of a class."""
    return kind._names


def replace(value: T, **changes: Any) -> T:
    """Another value, with some fields changed."""
    return type(value)(**{**value.__dict__, **changes})
