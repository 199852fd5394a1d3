"""Which files `worker.watch` means, and which of them have changed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kraal.manager import file_watch
from kraal.manager.file_watch import Target, difference, look


def write(path: Path, text: str = "") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("word", "path", "wanted"),
    [
        ("/a", "/a/b/c.php", True),
        ("/a", "/a/b/page.html.twig", True),
        ("/a", "/a/.env.local", True),
        ("/a", "/a/b/c.php~", False),
        ("/a", "/a/picture.png", False),
        ("/a/Makefile", "/a/Makefile", True),
        ("/a/*.txt", "/a/b/c.txt", True),
        ("/a/*.txt", "/a/b/c.txt.php", False),
        ("/a*/src/[x].php", "/ab/c/src/[x].php", True),
        ("/a*/src/[x].php", "/ab/c/src/x.php", False),
    ],
)
def test_a_directory_is_its_usual_files_and_a_pattern_what_it_fits(
    word: str, path: str, wanted: bool
) -> None:
    assert Target.of(word).wants(path) == wanted


@pytest.mark.parametrize(
    ("word", "root"), [("/a/b/", "/a/b"), ("/", "/"), ("/a/b*/c", "/a"), ("/*.php", "/"), ("/a/*", "/a")]
)
def test_a_pattern_is_looked_for_below_its_first_star(word: str, root: str) -> None:
    assert Target.of(word).root == root


def test_files_are_found_in_directories_but_not_in_hidden_ones(tmp_path: Path) -> None:
    one, deep = write(tmp_path / "one.php"), write(tmp_path / "a/b/deep.yaml")
    for name in (".git/hook.php", "node_modules/x.json", "readme.md"):
        write(tmp_path / name)
    (tmp_path / "loop").symlink_to(tmp_path)
    link = tmp_path / "link.php"
    link.symlink_to(tmp_path / "nowhere")
    assert look([Target.of(str(tmp_path))]).keys() == {one, deep}
    link.unlink()
    link.symlink_to(tmp_path / "readme.md")
    assert look([Target.of(str(tmp_path)), Target.of(f"{tmp_path}/*.md")]).keys() == {
        one,
        deep,
        str(link),
        f"{tmp_path}/readme.md",
    }


def test_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    assert look([Target.of(str(tmp_path / "no")), Target.of(f"{tmp_path}/no/*.php")]) == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_text("longer than before"),
        lambda path: os.utime(path, ns=(1, 1)),
        lambda path: path.unlink(),
        lambda path: path.rename(path.with_name("b.php")),
    ],
)
def test_each_kind_of_change_is_seen(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = Path(write(tmp_path / "a.php", "text"))
    targets = [Target.of(str(tmp_path))]
    before = look(targets)
    assert difference(before, look(targets)) == []
    change(path)
    assert str(path) in difference(before, look(targets))


def test_changes_that_come_together_are_told_once_when_all_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = {"/a.php": (1, 1, 1)}, {"/a.php": (2, 1, 1)}
    c = b | {"/b.php": (3, 1, 1)}
    seen = iter([a, a, b, c, c, c, a, b, b])
    parents = iter([1] * 8 + [2])
    monkeypatch.setattr(file_watch, "look", lambda _targets: next(seen))
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    told: list[str] = []
    file_watch.watch(["/"], told.append, 1)
    assert told == ["/a.php and 1 more", "/b.php"]
