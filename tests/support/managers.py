"""A master's table of managers that starts nothing, one manager of its two pools, and the log."""

import re
from pathlib import Path

from kraal.boot import Php
from kraal.config.model import Config, Global, LogLevel, Pool
from kraal.errors import Place
from kraal.fields import replace
from kraal.logs.error import ErrorLog
from kraal.master.launcher import Manager, Setting
from kraal.master.listeners import Listeners
from kraal.master.managers import Managers, Owner
from kraal.unix.channel import Channel
from kraal.unix.loop import Loop
from kraal.unix.process import Pid

LINE = re.compile(
    r"\[\d\d-\w{3}-\d{4} \d\d:\d\d:\d\d\.\d{6}\] (DEBUG|NOTICE|WARNING|ERROR|ALERT): "
    r"pid \d+, (?:\w+|\(null\))\(\), line \d+: (.*)"
)
POOL = Pool(name="www", at=Place("pool.conf"), listen="/nowhere/fpm.sock", pm_max_children=1)
OTHER = Pool(name="other", at=Place("pool.conf"), listen="/nowhere/other.sock", pm_max_children=1)


class Scene:
    """All of them."""

    def __init__(self, path: Path, *, limit: int = 0, slowlog: Path | None = None) -> None:
        self.path = path / "error.log"
        self.readied = 0
        self.log = log = ErrorLog(LogLevel.DEBUG)
        log.open(str(self.path))
        log.echo = False
        config = Config(
            global_=Global(process_max=limit),
            pools=(replace(POOL, slowlog=str(slowlog) if slowlog else None), OTHER),
            file="fpm.conf",
        )
        setting = Setting(Php(ini_path=None, ini_scan_dir=None), {}, as_root=False)
        self.loop = Loop()
        self.failures: list[str] = []
        owner = Owner(self.count, lambda failure: self.failures.append(str(failure)), lambda: None)
        self.managers = Managers(self.loop, config, setting, log, Listeners(log), owner)
        self.ours, self.theirs = Channel.pair()
        self.manager = Manager("www", Pid(4711), self.ours, 0.0)

    def count(self) -> None:
        self.readied += 1

    def lines(self) -> list[str]:
        """The log as an operator's tool reads it: every line has the form, or the log was forged."""
        found = []
        for line in self.path.read_text().split("\n")[:-1]:
            match = LINE.fullmatch(line)
            assert match, line
            found.append(match[2])
        return found

    def close(self) -> None:
        self.loop.close_in_child()
        self.ours.close()
        self.theirs.close()
