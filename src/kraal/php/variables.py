"""What `${NAME}` stands for in a configuration: a setting of PHP's ini files, or else the environment.

php-fpm has PHP in its master and asks it.  kraal's master has not, so the ini files are read here, with
the same parser, and only when the first `${NAME}` comes up.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain

from kraal.boot import Php
from kraal.config.ini import Entry, Section, parse
from kraal.php import ini, paths

# php-fpm's own, below every file.
_DEFAULTS = {"display_errors": "1"}
# In php.ini these sections are for some folders or hosts only; all others are decoration.
_ELSEWHERE = ("path=", "host=")
_FILES = ("php-fpm-fcgi.ini", "php.ini")


class Variables(Mapping[str, str]):
    """The environment, with PHP's settings before it."""

    def __init__(self, environ: Mapping[str, str], settings: Php) -> None:
        self._environ = environ
        self._php = settings
        self._read: dict[str, str] | None = None

    def __getitem__(self, name: str) -> str:
        settings = self.settings()
        return settings[name] if name in settings else self._environ[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._environ, **self.settings()})

    def __len__(self) -> int:
        return len({**self._environ, **self.settings()})

    def settings(self) -> Mapping[str, str]:
        """PHP's settings: php.ini, the files beside it, and `-d`, the later before the earlier."""
        if self._read is None:
            # In its place before it is whole: an ini file may refer to lines above.
            self._read = dict(_DEFAULTS)
            for file in ini_files(self._php):
                self._add(_text(file), file)
            self._add(ini.entries(self._php.defines, ()), "-d")
        return self._read

    def setting(self, name: str) -> str | None:
        """One of PHP's settings.  Files in which its name does not occur need not be understood."""
        texts = chain(map(_text, ini_files(self._php)), self._php.defines)
        return self.settings().get(name) if any(name in text for text in texts) else None

    def _add(self, text: str, file: str) -> None:
        everywhere = True
        assert self._read is not None, "only settings() adds"
        for item in parse(text, file, self):
            match item:
                case Section():
                    everywhere = not item.name.lower().startswith(_ELSEWHERE)
                case Entry(key=None) if everywhere:
                    self._read[item.name] = item.value
                case _:
                    continue


def ini_files(settings: Php) -> Iterator[str]:
    """The files that PHP reads its settings from, in the order of reading."""
    if settings.ini_ignore:
        return
    path = settings.ini_path
    if path and not os.path.isdir(path):
        yield path
    elif path:
        found = [file for name in _FILES if os.path.isfile(file := os.path.join(path, name))]
        yield from found[:1]
    for folder in (settings.ini_scan_dir or "").split(":"):
        scanned = folder or f"{paths.ini_folders(settings.version)[-1]}/conf.d"
        with suppress(OSError):
            names = sorted(name for name in os.listdir(scanned) if name.endswith(".ini"))
            yield from (os.path.join(scanned, name) for name in names)


def _text(file: str) -> str:
    """Read a file, or nothing: that an ini file cannot be read is for PHP to tell."""
    with suppress(OSError), open(file, "rb") as stream:
        return stream.read().decode("utf-8", "surrogateescape")
    return ""


def config_file(given: str | None, prefix: str | None, variables: Variables) -> str:
    """Where the configuration is: `-y`, PHP's setting fpm.config, or php-fpm's own place."""
    named = given or variables.setting("fpm.config")
    if named:
        return named
    return paths.DEFAULT_CONFIG if prefix is None else f"{prefix}/etc/php-fpm.conf"
