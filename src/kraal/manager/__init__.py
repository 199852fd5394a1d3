"""The manager of a pool: as many workers as are wanted, and what becomes of them."""
