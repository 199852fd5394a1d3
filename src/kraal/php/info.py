"""What PHP says about itself: `-v`, `-m` and `-i`, and the names of its settings for `-t`.

In a program of its own, because whoever loads PHP cannot become a master.
"""

import os
import sys

from kraal.boot import Order, Php
from kraal.unix import memory


def show(what: str, php: Php) -> int:
    """Replace this process by one that loads PHP and prints.  Does not return."""
    os.environ["KRAAL_ABOUT"] = ""
    order = Order(pool="about", policy="static", max_children=0, php=php, environment=dict(os.environ))
    sys.stdout.flush()
    argv = [sys.executable, "-I", "-m", "kraal.php.info", what]
    os.dup2(memory.create_filled("kraal-order", order.to_bytes()), 0)
    os.execv(argv[0], argv)


def main() -> int:
    """Read the order from standard input and print."""
    from kraal.errors import StartError
    from kraal.php.bridge import PhpPage
    from kraal.php.runtime import start_php

    with os.fdopen(0, "rb", closefd=False) as file:
        order = Order.from_bytes(file.read())
    try:
        start_php(order).print(PhpPage[sys.argv[1].upper()])
    except StartError as error:
        print(f"kraal: {error}", file=sys.stderr)
        return error.exit
    return 0


if __name__ == "__main__":
    sys.exit(main())
