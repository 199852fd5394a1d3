"""A running master seen from another process."""
