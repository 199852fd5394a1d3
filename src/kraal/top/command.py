"""The command `kraal top`: the pools and workers of a running master, live.

The screen is drawn with the standard library's curses: a program of root is to need little beside itself.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence

from kraal import __version__
from kraal.command import whereabouts
from kraal.command.common import FLAGS, WHICH, Subcommand
from kraal.command.words import Words
from kraal.errors import Error, Exit, StartError
from kraal.observe.census import Census, Snapshot
from kraal.options import Options
from kraal.top import cells, panel, rates
from kraal.top.panel import Picture, View

USAGE = f"""\
Usage: kraal top [--interval <seconds>] [--pool <name>] [--once | --batch]
                 {WHICH}

Show live what the pools and workers of a running master do; ? shows the keys.  It takes the rights to look
into the master: root, or its user.

  --interval <seconds>
                   How often to look (default: 2, at least 0.1)
  --pool <name>    Begin with the pools that have this in their names
  --once           Look twice, an interval apart, print that as text and leave
  --batch          Print it every interval
{FLAGS}"""
COMMAND = Subcommand(name="top", usage=USAGE, values=("--interval", "--pool"), switches=("--once", "--batch"))
_LEAST_SECONDS, _MOST_SECONDS = 0.1, 3600
_WIDE = 200


def main(arguments: Sequence[str]) -> int:
    """Run the command.  Returns its exit code."""
    return COMMAND.run(arguments, _run)


def _run(words: Words, options: Options) -> int:
    interval = max(_LEAST_SECONDS, words.amount("--interval", 2.0, most=_MOST_SECONDS))
    view = View(interval=interval, filter=words.value("--pool") or "")
    # Whoever names a number means that process; a pid file is written again by the next master.
    by_number = (options.pid or "").isdigit()
    watch = Watch(lambda: whereabouts.master(options), lasting=not by_number)
    watch.look()
    if words.has("--once") or words.has("--batch"):
        return _print(watch, view, again=words.has("--batch"))
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise StartError("this is no terminal: --once and --batch print text", exit=Exit.USAGE)
    from kraal.top.screen import run

    return run(watch, view)


class Watch:
    """Two snapshots, of which the second is the newest."""

    def __init__(self, find: Callable[[], int], *, lasting: bool) -> None:
        """`find` gives the process id of the master, or raises Error; `lasting` if of the next one, too."""
        self._find = find
        self._lasting = lasting
        self._census = Census()
        self._before: Snapshot | None = None
        self._now: Snapshot | None = None
        self._alarm = ""

    def look(self) -> None:
        """Take another one.  Raises StartError or ConfigErrors if there is no master, or we may not look."""
        now = self._census.take(self._find())
        same = self._now is not None and self._now.master == now.master
        self._before, self._now = self._now if same else None, now
        self._alarm = "" if now.pools else "there is no pool that this version of kraal can read"

    def look_again(self) -> None:
        """Take another one, or have the picture say why not.  Raises StartError if there will be none."""
        try:
            self.look()
        except Error as error:
            pid = self._now.master if self._now else 0
            gone = not os.path.exists(f"/proc/{pid}")
            if gone and not self._lasting:
                raise StartError(f"the master {pid} has ended", exit=Exit.SOFTWARE) from error
            self._alarm = f"the master {pid} has ended, waiting for the next one" if gone else str(error)

    def picture(self) -> Picture:
        """What to show now."""
        now = self._now
        if now is None:
            return Picture(alarm=self._alarm)
        pools, workers = rates.pools(self._before, now), rates.workers(self._before, now)
        clock = time.strftime("%H:%M:%S")
        return Picture(head(now, pools, clock), pools, workers, self._alarm)


def head(now: Snapshot, pools: Sequence[dict[str, str | int | float | None]], clock: str) -> tuple[str, str]:
    """The two lines above the tables."""
    idle, active = (sum(int(row[key] or 0) for row in pools) for key in ("idle", "active"))
    known = [[row[key] for row in pools if row[key] is not None] for key in ("rate", "cpu", "pss")]
    rate, cpu, pss = (sum(float(each or 0) for each in values) for values in known)
    load = " ".join(f"{each:.2f}" for each in now.load)
    return (
        f"kraal {__version__}  master {now.master}, up {cells.duration(now.age)}  load {load}  {clock}",
        f"pools {len(pools)}  workers {idle + active}: {active} active, {idle} idle  "
        f"{cells.one_place(rate)} requests/s  cpu {cells.one_place(cpu)}%  pss {cells.size(pss)}",
    )


def _print(watch: Watch, view: View, *, again: bool) -> int:
    width = shutil.get_terminal_size((_WIDE, 0)).columns
    while True:
        time.sleep(view.interval)
        watch.look()
        picture = watch.picture()
        if picture.alarm:
            COMMAND.fail([picture.alarm])
        print(panel.text(view, picture, width), end="" if not again else "\n", flush=True)
        if not again:
            return Exit.OK
