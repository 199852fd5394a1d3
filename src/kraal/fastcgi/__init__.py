"""FastCGI as a library: the protocol without I/O, in both roles, and a blocking client."""
