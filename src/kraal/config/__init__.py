"""The configuration: read, checked, typed and shown."""
