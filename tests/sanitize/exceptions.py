"""Which tests are not run on a kraal that is watched, and which are run in valgrind, with the reasons."""

_MEMORY = "measures memory, of which a watcher takes a multiple"
_HEAP = "measures or limits PHP's heap"

# By the name of a file (without its ending), of a test function, or of one case of it.
NOT_WATCHED: dict[str, str] = {
    "test_what_the_boot_has_made_is_in_memory_once": _MEMORY,
    # It does in valgrind, and without PHP's binding of extensions to themselves: the cause is not known yet.
    "test_the_answer_is_that_of_php_fpm[input in another encoding]": "mbstring does not translate input then",
}

# Only where PHP has its own heap.
IN_ZENDS_HEAP: dict[str, str] = {
    "test_request_is_logged_as_by_php_fpm": _HEAP,
    "test_output_of_any_size_arrives": "appends to a text often, and all of it is copied each time",
    **{
        f"test_the_answer_is_that_of_php_fpm[{case}]": _HEAP
        for case in (
            "too much memory, hidden",
            "too much memory, shown",
            "too much memory, shown as HTML",
            "too much memory, shown and not logged",
            "endless recursion, hidden",
            "endless recursion, shown",
            "endless recursion, shown as HTML",
            "endless recursion, shown and not logged",
            "too much memory of a fenced pool (fenced)",
            "settings that a script may change",
            "phpinfo of general",
        )
    },
}

# Thirty times as slow, so only what goes through most of the native library.
IN_VALGRIND = [
    f"tests/integration/test_{name}.py"
    for name in (
        "fastcgi",
        "bodies",
        "access_log",
        "lazy_clients",
        "kept_connections",
        "worker_mode",
        "reload",
    )
]
