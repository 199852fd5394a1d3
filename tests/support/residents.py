"""A server whose pool keeps a worker script loaded: it runs the scripts below `app/` in its requests."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from tests.support import processes
from tests.support.fastcgi import Connection, Response, packet
from tests.support.servers import FpmServer
from tests.support.wait import wait_until
from tests.support.workspace import workspace

# Scripts are functions of what was kept from the boot; `$kept->count` counts the requests since then.
PROGRAM = """<?php
{boot}
$kept = new stdClass;
$kept->count = 0;
$kept->server = $_SERVER;
$handler = static function () use ($kept) {{
    $kept->count++;
    require $_SERVER['SCRIPT_FILENAME'];
}};
do {{
    $again = {function}($handler);
    {after}
}} while ($again);
"""


def program(
    file: Path, *, boot: str = "", after: str = "", function: str = "frankenphp_handle_request"
) -> Path:
    """Write a worker script."""
    file.write_text(PROGRAM.format(boot=boot, after=after, function=function))
    return file


class Application:
    """One server, and short ways to ask it."""

    def __init__(self, server: FpmServer) -> None:
        self.server = server
        self._count = 0

    def script(self, code: str) -> str:
        """A script that the worker script runs; gives its URI."""
        self._count += 1
        return self.server.script(f"app/{self._count}.php", code)

    def run(self, code: str, **how: Mapping[str, str]) -> Response:
        """The answer of a script that is run once."""
        return self.server.fetch(self.script(code), **how)  # type: ignore[arg-type]

    def residents(self) -> set[int]:
        """The processes that keep the worker script."""
        return {pid for pid in self.server.workers() if processes.command_line(pid).endswith("(resident)")}

    def check_reload_fails(self, boot: str, reason: str) -> None:
        """Reload with this boot: the log has to say why that cannot be, and all go on as before."""
        first = self.residents()
        program(self.server.directory / "worker.php", boot=boot)
        self.server.send(signal.SIGUSR2)
        lines = self.server.wait_log("worker script .*/worker.php: ")
        assert reason in lines[0]
        self.server.wait_log("reload failed: everything goes on as before")
        assert self.run("echo 'still';").text == "still"
        assert self.residents() == first


class Clients:
    """Ask again and again, on kept connections, until the block ends; every answer has to be whole."""

    def __init__(self, app: Application, code: str = "echo 'answer';", number: int = 3) -> None:
        self._app = app
        self._uri = app.script(code)
        self._stop = False
        self.answers = 0
        self.failures: list[str] = []
        self._threads = [Thread(target=self._ask) for _ in range(number)]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        wait_until(lambda: self.answers > 10, what="clients are answered")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        for thread in self._threads:
            thread.join()
        assert not self.failures, self.failures[:3]

    def have(self, answers: int) -> bool:
        """Whether there were so many."""
        return self.answers >= answers

    def _ask(self) -> None:
        while not self._stop:
            try:
                with Connection(self._app.server.address) as connection:
                    for _ in range(20):
                        connection.send(packet(self._app.server.params(self._uri), keep=True))
                        page = connection.response()
                        assert (page.status, page.text) == (200, "answer"), page
                        self.answers += 1
            except Exception as error:
                self.failures.append(repr(error))
                return


@contextmanager
def application(
    *,
    number: int = 1,
    pool: Mapping[str, str] | None = None,
    more: Mapping[str, Mapping[str, str]] | None = None,
    options: Mapping[str, str] | None = None,
    **how: str,
) -> Iterator[Application]:
    """A pool with so many residents and one ordinary worker; `how` is of its `program`.

    In the settings of the pool DIRECTORY is the server's directory.
    """
    with workspace() as directory:
        file = program(directory / "worker.php", **how)
        settings = {
            "pm.max_children": str(number + 1),
            "worker.script": str(file),
            "worker.num": str(number),
            "worker.match": f"{directory}/www/app/*",
            "catch_workers_output": "yes",
            "php_admin_flag[display_errors]": "no",
            "php_admin_flag[log_errors]": "yes",
            **{name: value.replace("DIRECTORY", str(directory)) for name, value in (pool or {}).items()},
        }
        server = FpmServer.start("kraal", directory, pool=settings, more=more, options=options)
        try:
            yield Application(server)
        finally:
            server.stop()
