"""The integration tests on a kraal that is watched, by gcc's sanitizers or by valgrind.

It is installed in an environment of its own, whose `python` is made of interpreter.c.  pytest and php-fpm are
not watched.
"""
