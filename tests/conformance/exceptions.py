"""Tests of php-src that kraal fails on purpose: the one list, each with the page that explains it.

The page is in docs/decisions/, and is written for a maintainer of php-fpm.
"""

EXPLAINED: dict[str, str] = {}

# Not for Linux, and skipped by php-fpm as well.  Whatever else is skipped is not shown to work.
NOT_FOR_LINUX = frozenset({"setsofib"})

# These want two workers after two requests that overlap, where php-fpm itself often has one.
RACY = frozenset({"bug77023-pm-dynamic-blocking-sigquit", "proc-idle-timeout"})
