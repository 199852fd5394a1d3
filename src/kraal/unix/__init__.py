"""What only an operating system can do: processes, sockets, descriptors.  Knows nothing of PHP."""
