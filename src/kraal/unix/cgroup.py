"""What the kernel says of the control group that we are in."""

import os
from contextlib import suppress


def oom_kills() -> int:
    """How many processes of the group the kernel has killed for lack of memory; 0 if it does not tell."""
    with suppress(OSError, ValueError):
        with open("/proc/self/cgroup") as file:
            groups = file.read()
        for path in _files(groups):
            if os.path.exists(path):
                with open(path) as file:
                    return count_in(file.read())
    return 0


def count_in(events: str) -> int:
    """The number in such a file."""
    lines = (line.split() for line in events.splitlines())
    return next((int(line[1]) for line in lines if len(line) == 2 and line[0] == "oom_kill"), 0)


def _files(groups: str) -> list[str]:
    """Where the number may be: version 2 of control groups has one tree, version 1 one for memory."""
    paths = []
    for line in groups.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if number == "0" and not controllers:
            paths.append(f"/sys/fs/cgroup{group}/memory.events")
            # Inside a container the group's own name is often not there.
            paths.append("/sys/fs/cgroup/memory.events")
        elif "memory" in controllers.split(","):
            paths.append(f"/sys/fs/cgroup/memory{group}/memory.oom_control")
            paths.append("/sys/fs/cgroup/memory/memory.oom_control")
    return paths
