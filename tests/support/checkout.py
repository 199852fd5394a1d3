"""What kraal is built from."""

import shutil
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
SOURCES = ("LICENSE", "README.md", "meson.build", "meson.options", "pyproject.toml", "native", "src")


def copy_sources(to: Path) -> None:
    """Into a folder that there is."""
    for name in SOURCES:
        path = CHECKOUT / name
        if path.is_dir():
            shutil.copytree(path, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, to)
