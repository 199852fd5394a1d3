"""What workers leave in shared memory, and how others read it."""
