"""What the scoreboard says of a worker, for tests of what is decided by it."""

from kraal.memory.scoreboard import Stage, WorkerState

RUNNING = WorkerState(
    pid=77,
    stage=Stage.RUNNING,
    requests=3,
    started_at=1_000_000_000,
    accepted_ns=5_000_000,
    finished_ns=0,
    cpu_ns=0,
    memory=0,
    content_length=0,
    method="GET",
    user="",
    uri="/status",
    query="",
    script="",
)
