"""What reads foreign bytes in Python: a module for each target, whose first lines tell how its inputs are.

`begin` is a context in an empty folder, with what is needed for all inputs; it gives what is called with each
of them, which raises whatever is wrong with what was read.  `WORDS` are what inputs may have in them.
"""
