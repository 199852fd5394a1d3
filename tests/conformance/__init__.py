"""php-src's own tests of FPM, run on kraal and on php-fpm: `python -m tests.conformance --help`.

Nothing of php-src is in this repository: the Debian source package is fetched into a cache.
"""
