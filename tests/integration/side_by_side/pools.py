"""The pools that cases run in: each has settings that hold for a whole server only.

ROOT is the document root.
"""

POOLS: dict[str, dict[str, str]] = {
    "www": {
        "env[KEEPER]": "of the pool",
        "env[SPACES]": '"  a  b  "',
        # It reads what it gets: writing to a program that has ended may fail.
        "php_admin_value[sendmail_path]": '"/bin/cat >/dev/null"',
    },
    "unfixed": {"php_admin_value[cgi.fix_pathinfo]": "0"},
    "discarding": {"php_admin_value[cgi.fix_pathinfo]": "0", "php_admin_value[cgi.discard_path]": "1"},
    "rooted": {"php_admin_value[doc_root]": "ROOT"},
    "homes": {"php_admin_value[user_dir]": "public_html"},
    "quiet": {
        "php_admin_value[expose_php]": "0",
        "php_admin_value[fastcgi.logging]": "0",
        "php_admin_value[fastcgi.error_header]": '"HTTP/1.1 550 Broken"',
        "php_admin_value[cgi.force_redirect]": "0",
    },
    "inherited": {"clear_env": "no", "env[KEEPER]": "of the pool"},
    "fenced": {
        "php_admin_value[open_basedir]": "ROOT",
        "php_admin_value[disable_functions]": "exec,phpversion",
        "php_admin_value[disable_classes]": "ArrayIterator",
        "php_admin_flag[log_errors]": "off",
        "php_flag[display_errors]": "on",
        "php_value[memory_limit]": "32M",
    },
    "open": {"security.limit_extensions": '""'},
}

# In the environment of both servers.
ENVIRON = {"KEEPER": "of the server", "INHERITED": "by workers", "SPACES": "  a b  "}
