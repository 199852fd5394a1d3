"""Look at the files of a site; links are followed, wherever they lead."""

import os


class SiteFiles:
    """The files below `root`, as `routing` wants to see them."""

    def __init__(self, root: str) -> None:
        self._root = root

    def is_file(self, path: str) -> bool:
        return os.path.isfile(self._absolute(path))

    def is_directory(self, path: str) -> bool:
        return os.path.isdir(self._absolute(path))

    def _absolute(self, path: str) -> str:
        return os.path.join(self._root, path)
