"""Variables of web servers, likely and unlikely ones, as they name a script.

ROOT is the document root, SCRIPT the path of a script below it.
"""

PATHS: dict[str, dict[str, str]] = {
    "plain": {"SCRIPT_FILENAME": "ROOTSCRIPT", "SCRIPT_NAME": "SCRIPT"},
    "path info in the file": {"SCRIPT_FILENAME": "ROOTSCRIPT/a/b", "SCRIPT_NAME": "SCRIPT/a/b"},
    "path info in both": {
        "SCRIPT_FILENAME": "ROOTSCRIPT/a/b",
        "SCRIPT_NAME": "SCRIPT/a/b",
        "PATH_INFO": "/a/b",
    },
    "split": {"SCRIPT_FILENAME": "ROOTSCRIPT", "SCRIPT_NAME": "SCRIPT", "PATH_INFO": "/a/b"},
    "split and translated": {
        "SCRIPT_FILENAME": "ROOTSCRIPT",
        "SCRIPT_NAME": "SCRIPT",
        "PATH_INFO": "/a/b",
        "PATH_TRANSLATED": "ROOT/a/b",
    },
    "no path info": {"SCRIPT_FILENAME": "ROOTSCRIPT", "SCRIPT_NAME": "SCRIPT", "PATH_INFO": ""},
    "of Apache": {
        "SCRIPT_FILENAME": "proxy:fcgi://127.0.0.1:9000ROOTSCRIPT",
        "SCRIPT_NAME": "SCRIPT",
        "PATH_INFO": "/a",
        "PATH_TRANSLATED": "ROOT/a",
    },
    "of Apache with a query": {
        "SCRIPT_FILENAME": "proxy:fcgi://localhostROOTSCRIPT?q=1",
        "SCRIPT_NAME": "SCRIPT",
    },
    "of a balancer": {
        "SCRIPT_FILENAME": "proxy:balancer://clusterROOTSCRIPT",
        "SCRIPT_NAME": "SCRIPT",
    },
    "not there below a script": {"SCRIPT_FILENAME": "ROOT/none.php/a", "SCRIPT_NAME": "/none.php/a"},
    "a folder": {"SCRIPT_FILENAME": "ROOT/", "SCRIPT_NAME": "/"},
    "dots": {"SCRIPT_FILENAME": "ROOT/x/..SCRIPT", "SCRIPT_NAME": "/x/..SCRIPT"},
    "no file, translated": {"PATH_TRANSLATED": "ROOTSCRIPT", "SCRIPT_NAME": "SCRIPT"},
    "a file without a name": {"SCRIPT_FILENAME": "ROOTSCRIPT"},
    "IIS": {
        "SERVER_SOFTWARE": "Microsoft-IIS/10.0",
        "SCRIPT_FILENAME": "ROOTSCRIPT",
        "SCRIPT_NAME": "SCRIPT",
        "PATH_INFO": "SCRIPT/a",
    },
    "a redirected request": {
        "SCRIPT_FILENAME": "/usr/lib/cgi-bin/php",
        "SCRIPT_NAME": "/cgi-bin/php",
        "PATH_INFO": "SCRIPT/a",
        "PATH_TRANSLATED": "ROOTSCRIPT/a",
        "REDIRECT_URL": "SCRIPT/a",
    },
    "somebody's home": {"SCRIPT_FILENAME": "ROOTSCRIPT", "SCRIPT_NAME": "/~www-data/index.php"},
    "nobody's home": {"SCRIPT_FILENAME": "ROOTSCRIPT", "SCRIPT_NAME": "/~nobody-of-this-name/index.php"},
    "a home without a slash": {"SCRIPT_FILENAME": "ROOTSCRIPT", "SCRIPT_NAME": "/~www-data"},
    "another name than the file's": {"SCRIPT_FILENAME": "ROOTSCRIPT", "SCRIPT_NAME": "/other.php"},
    "a relative file": {"SCRIPT_FILENAME": "index.php", "SCRIPT_NAME": "/index.php"},
    "nothing": {},
    "longer than its name": {
        "SCRIPT_FILENAME": "ROOTSCRIPT/" + "a" * 3000,
        "SCRIPT_NAME": "SCRIPT/" + "a" * 3000,
        "PATH_INFO": "",
    },
}
