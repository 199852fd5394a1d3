"""Figures of a running master for Prometheus."""
