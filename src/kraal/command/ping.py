"""The command `kraal ping`: does each pool answer, where web servers ask it?"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from kraal.command import whereabouts
from kraal.command.common import FLAGS, WHICH, Subcommand
from kraal.command.given import configuration, php_settings
from kraal.command.words import Words
from kraal.config.address import UnixAddress
from kraal.config.model import Pool
from kraal.errors import Error, Exit, RemoteProtocolError, StartError
from kraal.fastcgi import cgi
from kraal.fastcgi.client import Address, Client
from kraal.fastcgi.events import StdoutData
from kraal.fields import Frozen, replace
from kraal.master.dormancy import may_sleep
from kraal.memory.scoreboard import PoolState
from kraal.observe import tables
from kraal.observe.holdings import Holdings
from kraal.options import Options

USAGE = f"""\
Usage: kraal ping [--pool <name>] [--wake] [--timeout <seconds>] [--json]
                  {WHICH}

Ask each pool of the configuration on the socket that it listens on: its `ping.path`, or where it has none
what FastCGI lets everybody ask.  Both are answered by a worker.  A pool of `pm = ondemand` that has no worker
now is told to be asleep, and left so.

The exit code is 0 if all answer or are asleep, and 1 if one does not.

  --pool <name>    This pool alone
  --wake           Ask pools that are asleep, too
  --timeout <seconds>
                   How long each pool may take (default: 5)
  --json           For programs
{FLAGS}"""
COMMAND = Subcommand(name="ping", usage=USAGE, values=("--pool", "--timeout"), switches=("--json", "--wake"))
_COLUMNS = ("pool", "state", "ms", "checked")
_VALUES = "FastCGI values"
_PONG = "pong"
_MOST_SECONDS = 3600
# Of an answer: it comes from the pool's user.
_MOST_BYTES = 1 << 16
_SILENT = 1
_HERE = "127.0.0.1"


class State(StrEnum):
    """How a pool is."""

    ANSWERS = "answers"
    ASLEEP = "asleep"
    SILENT = "silent"


class Answer(Frozen, kw_only=True):
    """What is told of a pool; `ms` is None, and `failure` is not, if it did not answer."""

    pool: str
    state: State
    checked: str
    ms: float | None = None
    failure: str | None = None


class Question(Frozen, kw_only=True):
    """Where to ask a pool for what.  Without a page it is asked for FastCGI's values."""

    pool: str
    address: Address
    page: str | None
    text: str  # that the page has to be


def main(arguments: Sequence[str]) -> int:
    """Run the command.  Returns its exit code."""
    return COMMAND.run(arguments, _run)


def _run(words: Words, options: Options) -> int:
    timeout = words.amount("--timeout", 5.0, most=_MOST_SECONDS)
    pools = _chosen(configuration(options, php_settings(options)).pools, words.value("--pool"))
    states = _states(options)
    steps = [step(pool, states, wake=words.has("--wake")) for pool in pools]
    answers = [each if isinstance(each, Answer) else ask(each, timeout) for each in steps]
    answers = [explained(each, states) for each in answers]
    silent = [each for each in answers if each.state is State.SILENT]
    if words.has("--json"):
        print(json.dumps(answers, default=vars), flush=True)
        return _SILENT if silent else Exit.OK
    print(tables.render([_row(each) for each in answers], _COLUMNS), end="", flush=True)
    reasons = [tables.harmless(f"pool {each.pool}: {each.failure}") for each in silent]
    return COMMAND.fail(reasons, _SILENT) if silent else Exit.OK


def _chosen(pools: Iterable[Pool], name: str | None) -> list[Pool]:
    pools = list(pools)
    found = [pool for pool in pools if name in (None, pool.name)]
    if not found:
        names = ", ".join(pool.name for pool in pools)
        raise StartError(f"there is no pool {name}; there are: {names}", exit=Exit.SOFTWARE)
    return found


def _states(options: Options) -> Mapping[str, PoolState] | str:
    """What the pools do; or why we cannot find the master, or may not look into it."""
    try:
        return Holdings(whereabouts.master(options)).states()
    except Error as error:
        return str(error)


def step(pool: Pool, states: Mapping[str, PoolState] | str, *, wake: bool) -> Question | Answer:
    """What to ask a pool, or what is told of it unasked.  `states` may be why there are none.  Pure."""
    if may_sleep(pool) and not wake:
        if isinstance(states, str):
            failure = f"it may be asleep, so it was not asked: --wake asks it ({states})"
            return Answer(pool=pool.name, state=State.SILENT, checked="the master", failure=failure)
        # A pool that nobody has asked for anything yet has no state.
        if pool.name not in states or not states[pool.name].workers:
            return Answer(pool=pool.name, state=State.ASLEEP, checked="the master")
    address = pool.address
    return Question(
        pool=pool.name,
        address=address.path if isinstance(address, UnixAddress) else (address.host or _HERE, address.port),
        page=pool.ping_path,
        text=pool.ping_response or _PONG,
    )


def ask(question: Question, timeout: float) -> Answer:
    """Ask, and wait so many seconds at most."""
    began = time.monotonic()
    answer = Answer(pool=question.pool, state=State.ANSWERS, checked=question.page or _VALUES)
    try:
        with Client(question.address, timeout=timeout, keep_connection=False) as client:
            client.deadline = began + timeout
            if question.page is None:
                client.get_values("FCGI_MPXS_CONNS")
            else:
                _check(_page(client, question.page), question.text)
    except TimeoutError:
        failure = f"no answer within {timeout:g} seconds"
    except BlockingIOError:
        failure = "its queue is full"
    except (OSError, Error) as error:
        failure = (error.strerror if isinstance(error, OSError) else None) or str(error)
    else:
        return replace(answer, ms=round((time.monotonic() - began) * 1000, 1))
    return replace(answer, state=State.SILENT, failure=failure)


def explained(answer: Answer, states: Mapping[str, PoolState] | str) -> Answer:
    """A failure with what the workers do, if that is known.  Pure."""
    if answer.failure is None or isinstance(states, str) or answer.pool not in states:
        return answer
    state = states[answer.pool]
    return replace(answer, failure=f"{answer.failure}; workers: {state.active} active, {state.idle} idle")


def _page(client: Client, path: str) -> bytes:
    params = {"SCRIPT_NAME": path, "SCRIPT_FILENAME": path, "REQUEST_URI": path, "REQUEST_METHOD": "GET"}
    content = b""
    for event in client.events(params):
        if isinstance(event, StdoutData):
            content += event.content
        if len(content) > _MOST_BYTES:
            raise RemoteProtocolError("the answer is longer than a page of ours can be")
    return content


def _check(content: bytes, text: str) -> None:
    split = cgi.split_head(content)
    if split is None:
        raise RemoteProtocolError("the answer is none of FastCGI's")
    head, body = split
    if head.status != 200 or body != text.encode("utf-8", "replace"):
        raise RemoteProtocolError(f"another page was answered, with status {head.status}")


def _row(answer: Answer) -> tables.Row:
    return {
        "pool": answer.pool,
        "state": answer.state.value,
        "ms": answer.ms,
        "checked": answer.checked,
    }
