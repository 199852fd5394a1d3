"""Which script a URL names, and what $_SERVER says of the way to it."""

from collections.abc import Iterable

from tests.integration.side_by_side.case import Ask, Case

SHOW = r"""
$names = '/^(ORIG_|REDIRECT_)|^(SCRIPT_NAME|SCRIPT_FILENAME|PATH_INFO|PATH_TRANSLATED|PHP_SELF|DOCUMENT_ROOT'
    . '|DOCUMENT_URI|REQUEST_URI|QUERY_STRING|CONTEXT_DOCUMENT_ROOT)$/';
$found = array_filter($_SERVER, fn($name) => preg_match($names, $name), ARRAY_FILTER_USE_KEY);
$found += ['file' => __FILE__, 'folder' => getcwd(), 'included' => get_included_files(), 'get' => $_GET];
header('Content-Type: application/json');
echo json_encode($found, JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE);
"""

FILES = dict.fromkeys(
    (
        "page.phtml",
        "page.php5",
        "page.php.txt",
        "page.PHP",
        ".php",
        "sub folder/page.php",
        "folder.php/real.php",
        "folder.php/index.php",
        "ünï/page.php",
        "ü€.php",
        "a+b.php",
        "a%20b.php",
        "a?b.php",
        "a;b.php",
        "a'\"b.php",
        "a.php.php",
        "secret.php",
        "closed/page.php",
        "deep/er/and/deeper/page.php",
        "l" + "o" * 200 + "ng.php",
    ),
    SHOW,
)
LINKS = {
    "link.php": "index.php",
    "linked": "sub folder",
    "dangling.php": "nowhere.php",
    "circle.php": "circle.php",
}
MODES = {"secret.php": 0, "closed": 0}

URLS = {
    "a script": "SCRIPT",
    "a script with a query": "SCRIPT?a=1&b=%20c+d&e",
    "a script with a path in its query": "SCRIPT?x=/a/b.php/c",
    "a script with an empty query": "SCRIPT?",
    "a slash behind a script": "SCRIPT/",
    "a path": "SCRIPT/a/b",
    "a path with a query": "SCRIPT/a/b?c=/d",
    "a path with an encoded space": "SCRIPT/a%20b",
    "a path with a plus": "SCRIPT/a+b",
    "a path in UTF-8": "SCRIPT/%C3%A4/%E2%82%AC",
    "a path that is no UTF-8": "SCRIPT/%ff%fe",
    "a path with an encoded slash": "SCRIPT/a%2Fb",
    "a path with double slashes": "SCRIPT//a//b//",
    "a path with dots": "SCRIPT/./a/../b",
    "a path with encoded dots": "SCRIPT/%2e%2e/x",
    "a path with three dots": "SCRIPT/.../a...",
    "a path that ends in dots": "SCRIPT/a/..",
    "a path with scripts": "SCRIPT/a.php/b.php",
    "a path with the script itself": "SCRIPT/index.php",
    "a path with parameters": "SCRIPT/a;b=c,d",
    "a path with an encoded question mark": "SCRIPT/a%3Fb=c",
    "a path with an encoded percent sign": "SCRIPT/100%25/%2541",
    "a path with a colon and an at sign": "SCRIPT/http://a@b:80/",
    "a path with a backslash": "SCRIPT/a%5Cb",
    "a path with an encoded NUL": "SCRIPT/a%00b",
    "a path with an encoded newline": "SCRIPT/a%0ab",
    "a long path": "SCRIPT/" + "a" * 3000,
    "many parts of a path": "SCRIPT" + "/a" * 500,
    "a folder without its slash": "DIR",
    "a folder": "DIR/",
    "a folder with a query": "DIR/?a=1",
    "double slashes before a script": "DIR//index.php",
    "double slashes in the beginning": "/SCRIPT",
    "dots before a script": "DIR/./x/../index.php",
    "encoded letters": "DIR/%69ndex.php",
    "capital letters": "DIR/INDEX.PHP",
    "a capital extension": "DIR/page.PHP",
    "no such script": "DIR/none.php",
    "no such script with a path": "DIR/none.php/a/b",
    "no such folder": "/no/such/folder/",
    "a script in a folder with a space": "DIR/sub%20folder/page.php/in%20fo",
    "a script in a folder in UTF-8": "DIR/%C3%BCn%C3%AF/page.php/ä",
    "a script in UTF-8": "DIR/%C3%BC%E2%82%AC.php/x",
    "a script with a plus": "DIR/a+b.php",
    "a script with a percent sign": "DIR/a%2520b.php/x",
    "a script with a question mark": "DIR/a%3Fb.php/x",
    "a script with a semicolon": "DIR/a;b.php/x",
    "a script with quotes": "DIR/a'%22b.php/x",
    "a script with two extensions": "DIR/a.php.php/x",
    "a script of an extension only": "DIR/.php",
    "a script that is deep down": "DIR/deep/er/and/deeper/page.php/info",
    "a script with a long name": "DIR/l" + "o" * 200 + "ng.php/x",
    "another extension": "DIR/page.phtml",
    "another extension behind the usual one": "DIR/page.php.txt",
    "a number behind the extension": "DIR/page.php5",
    "a folder that looks like a script": "DIR/folder.php",
    "a folder that looks like a script with its slash": "DIR/folder.php/",
    "a script in such a folder": "DIR/folder.php/real.php/x",
    "nothing in such a folder": "DIR/folder.php/none",
    "a link": "DIR/link.php/x",
    "a linked folder": "DIR/linked/page.php/x",
    "a link to nothing": "DIR/dangling.php",
    "a link to itself": "DIR/circle.php",
    "an unreadable script": "DIR/secret.php",
    "an unreadable script with a path": "DIR/secret.php/x",
    "a script in a closed folder": "DIR/closed/page.php",
    "a tilde": "/~www-data/index.php",
}


# The folder that all of them ask for.
SITE = Case("a folder of all kinds of files", SHOW, (Ask("DIR/"),), files=FILES, links=LINKS, modes=MODES)

# Enough to see what settings of a pool do that concern few people.
SOME = [
    "a script",
    "a path",
    "a path with an encoded space",
    "a path with dots",
    "a folder",
    "no such script",
    "no such script with a path",
    "double slashes in the beginning",
    "another extension",
    "a number behind the extension",
    "a folder that looks like a script",
    "a script in such a folder",
    "an unreadable script",
    "a script in a closed folder",
    "a tilde",
]


def _cases(pool: str, names: Iterable[str]) -> list[Case]:
    return [Case(name, "", (Ask(URLS[name]),), pool=pool, at=SITE.folder) for name in names]


CASES = [SITE, *_cases("www", URLS), *_cases("unfixed", URLS)]
CASES_OF_OTHER_POOLS = [
    case for pool in ("discarding", "rooted", "homes", "open") for case in _cases(pool, SOME)
]
