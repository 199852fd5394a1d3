"""Reload and upgrade: a successor beside the running master, and the way from one to the other."""
