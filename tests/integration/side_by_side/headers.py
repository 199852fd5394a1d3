"""The head of a response: status, headers, cookies, sessions, what settings make of them."""

from collections.abc import Iterable

from tests.integration.side_by_side.case import Ask, Case

HEAD = Ask(method="HEAD")

CODES: tuple[int, ...] = (
    100,
    101,
    102,
    103,
    200,
    201,
    202,
    204,
    205,
    206,
    207,
    226,
    300,
    301,
    302,
    303,
    304,
    307,
    308,
)
CODES += (
    400,
    401,
    402,
    403,
    404,
    405,
    410,
    413,
    418,
    421,
    425,
    429,
    431,
    451,
    499,
    500,
    501,
    503,
    511,
    599,
    600,
    999,
)

STATUS_LINES = [
    "HTTP/1.1 103 Early Hints",
    "HTTP/1.0 404 Gone fishing",
    "HTTP/1.1 404",
    "HTTP/1.1 404 ",
    "HTTP/1.1  404 Two spaces",
    "HTTP/2 404 Of two",
    "HTTP/2.0 410",
    "HTTP/1.1 299 Our own",
    "HTTP/1.1 200 Fine",
    "HTTP/1.1 200",
    "http/1.1 404 Small letters",
    "HTTP/1.1",
    "HTTP/1.1 ",
    "HTTP/1.1 abc Letters",
    "HTTP/1.1 42 Short",
    "HTTP/1.1 4040 Long",
    "HTTP/1.1 -1 Negative",
    "HTTP/1.1 404 Ünïcode €",
    "HTTP/1.1 304 Not Modified",
    "HTTP/1.1 204 Nothing here",
    "Status: 404 Of the header",
    "Status: 404",
    "Status:404 Without a space",
    "status: 410 Small letters",
    "Status: 200 Fine",
    "Status: 302 Elsewhere",
    "Status: abc",
    "Status:",
    "Status",
]

# PHP code that sets headers, by what it is about.
HEADERS: dict[str, str] = {
    "a header": "header('X-A: 1');",
    "a header twice": "header('X-A: 1'); header('X-A: 2');",
    "a header that is added": "header('X-A: 1'); header('X-A: 2', false); header('x-a: 3', false);",
    "a header that is replaced with others": "header('X-A: 1'); header('X-A: 2', false); header('x-a: 3');",
    "a header with a code": "header('X-A: 1', true, 404);",
    "a status line with a code": "header('HTTP/1.1 404 Of the line', true, 410);",
    "a removed header": "header('X-A: 1'); header('X-B: 2'); header_remove('x-a');",
    "all headers removed": "header('X-A: 1'); header_remove();",
    "the type removed": "header('Content-Type: text/plain'); header_remove('Content-Type');",
    "the default type removed": "header_remove('Content-Type');",
    "what PHP says of itself removed": "header_remove('X-Powered-By');",
    "what PHP says of itself replaced": "header('X-Powered-By: elephants');",
    "headers in a list": "header('X-A: 1'); http_response_code(404); print_r(headers_list()); var_dump(http_response_code());",
    "an empty header": "header('');",
    "a header without a value": "header('X-Empty:'); header('X-Space: ');",
    "a header without a colon": "header('X-Word'); header('two words');",
    "a header of a colon": "header(': x'); header(':');",
    "spaces around a header": "header('  X-A  :   1   '); header(\"X-B:\\t2\\t\");",
    "a header of two lines": 'header("X-A: 1\\r\\nX-B: 2");',
    "a header that goes on": 'header("X-A: 1\\r\\n more");',
    "a header with a newline in its end": 'header("X-A: 1\\r\\n"); header("X-B: 2\\n");',
    "a header with a NUL": 'header("X-A: 1\\0 2");',
    "a header in UTF-8": "header('X-A: äöü€'); header('X-Ö: 1');",
    "a long header": "header('X-A: ' . str_repeat('x', 3000));",
    "a header that is longer than servers take": "header('X-A: ' . str_repeat('x', 9000)); echo 'a';",
    "many headers to send": 'for ($i = 0; $i < 90; $i++) { header("X-$i: $i"); }',
    "a location": "header('Location: http://kraal.test/elsewhere');",
    "a location below": "header('Location: /elsewhere?a=1');",
    "a location beside": "header('Location: elsewhere');",
    "a location with a code": "header('Location: http://kraal.test/elsewhere', true, 301);",
    "a location for good": "header('HTTP/1.1 301 For good'); header('Location: http://kraal.test/a');",
    "a location of something new": "http_response_code(201); header('Location: http://kraal.test/new');",
    "a location before its code": "header('Location: http://kraal.test/a'); http_response_code(307);",
    "a location in small letters": "header('location: http://kraal.test/a');",
    "a location that is removed": "header('Location: http://kraal.test/a'); header_remove('Location');",
    "a status of success with a location": "header('HTTP/1.1 200 OK'); header('Location: http://kraal.test/a');",
    "a challenge": "header('WWW-Authenticate: Basic realm=\"gate\"'); echo 'denied';",
    "two challenges": "header('WWW-Authenticate: Negotiate'); header('WWW-Authenticate: Basic', false);",
    "a status header and a line": "header('Status: 404 A'); header('HTTP/1.1 410 B');",
    "a status header and a code": "header('Status: 404 A'); http_response_code(410);",
    "a code and a status header": "http_response_code(410); header('Status: 404 A');",
    "two status headers": "header('Status: 404 A'); header('Status: 410 B', false);",
    "two status lines": "header('HTTP/1.1 404 A'); header('HTTP/1.1 410 B');",
    "a line and a code": "header('HTTP/1.1 404 Of the line'); http_response_code(410);",
    "a line and the code of success": "header('HTTP/1.1 404 Of the line'); http_response_code(200);",
    "codes that are none": "foreach ([0, -1, 1, 99, 1000, 70000] as $c) { var_dump(http_response_code($c)); }",
    "the code of a code": "var_dump(http_response_code(), http_response_code(404), http_response_code(410), http_response_code());",
    "not modified with a type": "http_response_code(304); header('Content-Type: text/x'); header('ETag: \"1\"');",
    "no content with a type": "http_response_code(204); header('Content-Type: text/x'); echo 'body';",
    "a type": "header('Content-Type: application/json'); echo '{}';",
    "a type of text": "header('Content-Type: text/plain'); echo 'a';",
    "a type with a charset": "header('Content-Type: text/html; charset=ISO-8859-1');",
    "a type with parameters": "header('Content-Type: text/html; x=y');",
    "a type that is set in capitals": "header('CONTENT-TYPE: TEXT/HTML');",
    "a type that is empty": "header('Content-Type:'); echo 'a';",
    "a type that is set late": "ini_set('default_mimetype', 'text/x'); ini_set('default_charset', 'latin1'); echo 'a';",
    "a type that is added": "header('Content-Type: text/a'); header('Content-Type: text/b', false);",
    "a wrong length": "header('Content-Length: 100'); echo 'a';",
    "a length of nothing": "header('Content-Length: 0');",
    "an own server and date": "header('Server: own'); header('Date: Sat, 01 Jan 2000 00:00:00 GMT');",
    "hops": "header('Connection: close'); header('Keep-Alive: 5'); header('Upgrade: x'); header('Trailer: X-A');",
    "times to send": "header('Last-Modified: Sat, 01 Jan 2000 00:00:00 GMT'); header('Expires: 0'); header('Cache-Control: max-age=5');",
    "a file to be kept": "header('Content-Disposition: attachment; filename=\"a b.txt\"'); header('Content-Type: text/x'); echo 'x';",
    "an internal redirect of nginx": "header('X-Accel-Redirect: /index.html'); echo 'a';",
    "what nginx may be told": "header('X-Accel-Buffering: no'); header('X-Accel-Charset: x'); echo 'a';",
    "a callback": "header_register_callback(function () { header('X-Late: 1'); header_remove('X-A'); }); header('X-A: 1'); echo 'a';",
    "a callback without output": "header_register_callback(function () { http_response_code(404); header('X-Late: 1'); });",
    "a header callback that prints": "header_register_callback(function () { echo 'x'; }); echo 'a';",
    "a header callback that throws": "header_register_callback(function () { throw new Exception('late'); }); echo 'a';",
    "a second callback": "header_register_callback(fn() => header('X-A: 1')); header_register_callback(fn() => header('X-B: 1'));",
    "headers that were sent": "ob_end_flush(); echo 'a'; flush(); var_dump(headers_sent($f, $l), basename($f), $l); header('X-A: 1');",
    "headers before an exit": "header('X-A: 1'); http_response_code(404); exit;",
    "cookies that are set": "setcookie('a', 'b c'); setcookie('d', 'e', 0, '/p', 'kraal.test', true, true); setrawcookie('f', 'g%20h');",
    "cookies with options": "setcookie('a', 'b', ['expires' => 1000000000, 'path' => '/', 'samesite' => 'Lax', 'secure' => true]);",
    "cookies that go": "setcookie('a', ''); setcookie('b', 'x', 1); setcookie('c', 'x', -1);",
    "cookies that are wrong": "try { setcookie('a;b', 'x'); } catch (Error $e) { echo $e->getMessage(); } try { setrawcookie('a', 'b c;'); } catch (Error $e) { echo $e->getMessage(); }",
    "cookies and a header": "setcookie('a', '1'); header('Set-Cookie: b=2'); header('Set-Cookie: c=3', false);",
    "a cookie twice": "setcookie('a', '1'); setcookie('a', '2');",
    "a link for a preload": "header('Link: </a.css>; rel=preload'); header('Link: </b.js>; rel=preload', false);",
    "early hints before an answer": "header('HTTP/1.1 103 Early Hints'); header('Link: </a.css>'); flush(); header('HTTP/1.1 200 OK'); echo 'a';",
}

# A session of a name that is known.
SESSION = "session_id('keeper'); "
SESSIONS: dict[str, str] = {
    **{
        f"cache limiter {limiter or 'of none'}": SESSION
        + f"session_cache_limiter('{limiter}'); session_start(); echo 'a';"
        for limiter in ("nocache", "public", "private", "private_no_expire", "", "unknown")
    },
    "a session that counts": SESSION + "session_start(); echo $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;",
    "a session that ends": SESSION + "session_start(); var_dump(session_destroy(), session_status());",
    "a session with options": SESSION
    + "session_start(['cookie_lifetime' => 0, 'cookie_path' => '/p', 'cookie_httponly' => true, 'cookie_samesite' => 'Strict', 'name' => 'GATE']);",
    "a session that is read": SESSION
    + "session_start(['read_and_close' => true]); var_dump(session_status(), SID);",
    "a session without cookies": SESSION
    + "session_start(['use_cookies' => 0, 'use_only_cookies' => 0, 'use_trans_sid' => 1]); echo '<a href=\"/x\">x</a>', SID;",
    "a session after output": SESSION + "ob_end_flush(); echo 'a'; flush(); var_dump(session_start());",
    "a session of objects": SESSION
    + "class Gate { public $open = 1; } session_start(); print_r($_SESSION['g'] ?? null); $_SESSION['g'] = new Gate;",
    "a session with a long life": SESSION
    + "session_cache_expire(5); session_set_cookie_params(3600, '/', 'kraal.test', true); session_start();",
    "an own handler": SESSION
    + "session_set_save_handler(new class extends SessionHandler { function read($id): string { return 'a|i:5;'; } function write($id, $data): bool { error_log($data); return true; } }); session_start(); print_r($_SESSION); $_SESSION['a']++;",
}

_WAYS = ["", "cgi.rfc2616_headers = 1", "cgi.nph = 1", "cgi.nph = 1\ncgi.rfc2616_headers = 1"]


def _with_settings(name: str, code: str) -> Iterable[Case]:
    for ini in _WAYS[1:]:
        yield Case(f"{name} with {' and '.join(line.split()[0] for line in ini.splitlines())}", code, ini=ini)


CASES = [
    *(
        Case(f"code {code}", f"http_response_code({code}); echo 'body of {code}';", (Ask(), HEAD))
        for code in CODES
    ),
    *(
        Case(f"line {number}, {line}", f"header({line!r}); echo 'body', http_response_code();", (Ask(), HEAD))
        for number, line in enumerate(STATUS_LINES)
    ),
    *(Case(name, code, (Ask(), HEAD)) for name, code in HEADERS.items()),
    *(
        Case(name, code, (Ask(), Ask(headers={"Cookie": "PHPSESSID=keeper"})))
        for name, code in SESSIONS.items()
    ),
    *_with_settings("a page", "echo 'a';"),
    *_with_settings("a code", "http_response_code(404); echo 'a';"),
    *_with_settings("a code without a name", "http_response_code(499); echo 'a';"),
    *_with_settings("a line", "header('HTTP/1.0 404 Own words'); echo 'a';"),
    *_with_settings("a line of success", "header('HTTP/1.1 200 Own words'); echo 'a';"),
    *_with_settings(
        "a status header with a code", "header('Status: 404 Own words'); http_response_code(410); echo 'a';"
    ),
    *_with_settings("a redirect", "header('Location: http://kraal.test/a');"),
    *_with_settings("not modified", "header('HTTP/1.1 304 As it was'); header('Content-Type: text/x');"),
    *_with_settings("a long line", "header('HTTP/1.1 404 ' . str_repeat('x', 2000)); echo 'a';"),
    Case("a long line", "header('HTTP/1.1 404 ' . str_repeat('x', 2000)); echo 'a';"),
    Case("a default type", "echo 'a';", ini="default_mimetype = text/plain\ndefault_charset = latin1"),
    Case("a default type without a charset", "echo 'a';", ini='default_charset = ""'),
    Case("no default type", "echo 'a';", ini='default_mimetype = ""'),
    Case("a default type that is no text", "echo 'a';", ini="default_mimetype = application/x"),
    Case("a server that says nothing of PHP", "header('X-A: 1'); echo 'a';", (Ask(), HEAD), pool="quiet"),
    Case("a code of a server that says nothing", "http_response_code(404);", (Ask(), HEAD), pool="quiet"),
    Case(
        "a session of its own",
        "session_start(); echo strlen(session_id());",
        (Ask(headers={"Cookie": "PHPSESSID=mine"}),),
    ),
]
