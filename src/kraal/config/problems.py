"""What is wrong with a configuration, all of it at once."""

from collections.abc import Sequence

from kraal.config.excerpts import printable
from kraal.config.model import LogLevel
from kraal.errors import ConfigError, Place


class Problem(ConfigError):
    """One mistake: what, where and in which pool.

    A text that php-fpm fixed for a pool begins with the pool's name and keeps its wording, with the
    place behind it; an `exact` one is known to tools to its last letter, so the place stays out.
    """

    def __init__(
        self,
        message: str,
        *,
        at: Place | None = None,
        pool: str | None = None,
        level: LogLevel = LogLevel.ERROR,
        exact: bool = False,
    ) -> None:
        super().__init__(message, at=at)
        self.pool = pool
        self.level = level
        self.exact = exact

    def __str__(self) -> str:
        text = printable(self.message if self.pool is None else f"[pool {self.pool}] {self.message}")
        if self.exact or self.at is None:
            return text
        return f"[{self.at}] {text}" if self.pool is None else f"{text} ({self.at})"


class ConfigErrors(ConfigError):
    """Every mistake that was found, in the order of the files; never none."""

    def __init__(self, errors: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = tuple(errors)
