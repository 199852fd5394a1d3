"""A copy of kraal whose files can be replaced, as installers do it."""

import compileall
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path


class Installation:
    """kraal in an environment of its own."""

    def __init__(self, directory: Path, kraal: str) -> None:
        """`kraal` is the command to copy; what it needs else is used where it is."""
        python = Path(kraal).parent / "python"
        show = (
            "import kraal, os, site; print(os.path.dirname(kraal.__file__)); print(*site.getsitepackages())"
        )
        found = subprocess.run([python, "-c", show], capture_output=True, text=True, check=True).stdout
        package, places = found.splitlines()
        packages = directory / f"lib/python{sysconfig.get_python_version()}/site-packages"
        (directory / "bin").mkdir(parents=True)
        self.command = f"{directory}/bin/python -m kraal"
        (directory / "bin/python").symlink_to(python.resolve())
        (directory / "pyvenv.cfg").write_text(f"home = {python.resolve().parent}\n")
        self._package = packages / "kraal"
        shutil.copytree(package, self._package)
        # After its own: what is copied comes first.
        (packages / "others.pth").write_text("".join(f"{place}\n" for place in places.split()))
        self._version = 0
        self.upgrade()

    def upgrade(self) -> None:
        """Replace every file by another one of the same name and nearly the same content."""
        self._version += 1
        for path in [path for path in self._package.rglob("*") if path.is_file()]:
            content = path.read_bytes()
            if path.suffix == ".py":
                content += b"# %d\n" % self._version
            other = path.with_name(f"{path.name}.new")
            other.write_bytes(content)
            shutil.copymode(path, other)
            os.replace(other, path)
        compileall.compile_dir(self._package, quiet=1)
