"""The checks of ./test and the benchmarks, in environments of their own."""

import nox

nox.options.sessions = ["lint", "tests"]


@nox.session
def lint(session: nox.Session) -> None:
    """Style and types."""
    session.install(".[http,test]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """The tests; arguments go to pytest."""
    session.install(".[http,test]")
    session.run("pytest", *session.posargs)


@nox.session(python=["3.11", "3.12", "3.13"])
def unit(session: nox.Session) -> None:
    """The tests without processes, on every version of Python; arguments go to pytest."""
    session.install(".[http,test]")
    session.run("pytest", "tests/unit", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """The comparison with php-fpm and others; arguments go to it."""
    session.install(".")
    session.run("python", "bench/compare.py", *session.posargs)


# Debian's, which the unprivileged user of the tests can reach; root's own may be in his home.
@nox.session(python="/usr/bin/python3")
def conformance(session: nox.Session) -> None:
    """php-src's own tests of FPM, on kraal and php-fpm; arguments go to `python -m tests.conformance`."""
    session.install(".[test]")
    session.run("python", "-m", "tests.conformance", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """What reads foreign bytes, under libFuzzer; arguments go to `python -m tests.fuzz`."""
    session.install(".[test]")
    session.run("python", "-m", "tests.fuzz", *session.posargs)


# Debian's again; the watched kraal is an environment inside this one.
@nox.session(python="/usr/bin/python3")
def sanitize(session: nox.Session) -> None:
    """The integration tests on a watched kraal; arguments go to `python -m tests.sanitize`."""
    session.install(".[http,test]")
    session.run("python", "-m", "tests.sanitize", *session.posargs)
