"""What `ps` shows of a master."""


def show(what: str, file: str) -> None:
    """`file` is that of the configuration."""
    # Here, as its import takes longer than the rest of a start in between.
    from setproctitle import setproctitle

    setproctitle(f"kraal: {what} ({file})")
