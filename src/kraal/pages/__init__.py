"""The status and ping pages, and who answers them."""
