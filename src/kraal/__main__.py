"""`python -m kraal` is the command `kraal`."""

import sys

from kraal.cli import main

sys.exit(main())
