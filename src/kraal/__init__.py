"""kraal: a FastCGI process manager for PHP."""

__version__ = "0.1.0"
