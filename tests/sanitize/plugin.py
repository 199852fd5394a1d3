"""pytest's side of it: runs what is about kraal, and nothing that measures."""

import os

import pytest

from tests.sanitize.exceptions import IN_ZENDS_HEAP, NOT_WATCHED

_LEFT_OUT = NOT_WATCHED.keys() | (IN_ZENDS_HEAP.keys() if os.environ["KRAAL_HEAP"] == "pieces" else set())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what runs on php-fpm alone, and the exceptions."""
    dropped = [item for item in items if _is_left_out(item)]
    config.hook.pytest_deselected(items=dropped)
    items[:] = [item for item in items if item not in dropped]


def _is_left_out(item: pytest.Item) -> bool:
    params = getattr(item, "callspec", None)
    if params and "php-fpm" in params.params.values():
        return True
    names = {item.name, getattr(item, "originalname", item.name), item.path.stem}
    return not names.isdisjoint(_LEFT_OUT)
