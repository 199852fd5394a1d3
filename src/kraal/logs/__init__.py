"""The error log, and what workers write."""
