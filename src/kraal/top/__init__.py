"""`kraal top`."""
