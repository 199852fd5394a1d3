"""What a script sees of a request: variables, headers, methods, queries, settings that change them."""

from tests.integration.side_by_side.case import FORM, Ask, Case

JSON = (
    "JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE | JSON_PARTIAL_OUTPUT_ON_ERROR"
)

# php-fpm cuts "proxy:fcgi://" off without setting the length: getenv() shows what is behind the NUL.
SHOW = f"""
$changing = array_flip(['REQUEST_TIME', 'REQUEST_TIME_FLOAT', 'REMOTE_PORT']);
$found['server'] = array_diff_key($_SERVER, $changing);
$found['environment'] = array_diff_key(array_map(fn($text) => explode("\\0", $text)[0], getenv()), $changing);
$found['env'] = array_diff_key($_ENV, $changing);
$found['headers'] = getallheaders();
$found['get'] = $_GET;
$found['post'] = $_POST;
$found['cookie'] = $_COOKIE;
$found['request'] = $_REQUEST;
$found['body'] = file_get_contents('php://input');
$found['arguments'] = [$GLOBALS['argv'] ?? null, $GLOBALS['argc'] ?? null];
echo json_encode($found, {JSON});
"""

# An empty value, two of one name, many of them: what a client may send.
REQUESTS: dict[str, Ask] = {
    "plain": Ask(),
    "cookies": Ask(headers={"Cookie": "a=1; b=2; c=%20d; e; f=; a=3; g[h]=i; j.k=l"}),
    "strange cookies": Ask(headers={"Cookie": '; ;=x;a b="c d";m=1,n=2; __Host-x=1; o=a=b;'}),
    "basic authorization": Ask(headers={"Authorization": "Basic a2VlcGVyOnBhc3M6d29yZA=="}),
    "basic authorization without a password": Ask(headers={"Authorization": "Basic a2VlcGVy"}),
    "basic authorization that is not in base 64": Ask(headers={"Authorization": "Basic ***"}),
    "basic authorization in small letters": Ask(headers={"Authorization": "basic a2VlcGVyOnBhc3M="}),
    "digest authorization": Ask(
        headers={"Authorization": 'Digest username="keeper", realm="gate", nonce="1", uri="/", response="2"'}
    ),
    "bearer": Ask(headers={"Authorization": "Bearer abc.def"}),
    "empty authorization": Ask(headers={"Authorization": ""}),
    "odd headers": Ask(headers={"X-Empty": "", "X-Spaces": "  a  b  ", "Proxy": "evil.test", "x-small": "y"}),
    "headers that are no UTF-8": Ask(headers={"X-Letters": "äöü€"}),
    "a header with an underscore": Ask(headers={"X_Under": "1", "X-Under": "2"}),
    "a header with dots": Ask(headers={"X.Dot": "1"}),
    "long headers": Ask(headers={"X-Long": "x" * 3000, "X-" + "n" * 200: "y"}),
    "many headers": Ask(headers={f"X-Number-{number}": str(number) for number in range(60)}),
    "a referrer and a language": Ask(
        headers={
            "Referer": "http://a.test/?b=c",
            "Accept-Language": "de, en;q=0.5",
            "User-Agent": "test/1 (x)",
        }
    ),
    "a range": Ask(headers={"Range": "bytes=0-1"}),
    "conditions": Ask(headers={"If-None-Match": '"x"', "If-Modified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}),
    "what a proxy adds": Ask(headers={"X-Forwarded-For": "10.0.0.1", "X-Forwarded-Proto": "https"}),
    "an upgrade": Ask(headers={"Upgrade": "websocket", "Sec-WebSocket-Key": "x"}),
    "arrays in the query": Ask("SCRIPT?a[]=1&a[]=2&b[c][d]=3&b[c][]=4&e[=5&f]=6&g[h]i=7"),
    "odd names in the query": Ask("SCRIPT?a.b=1&c%20d=2&e+f=3&=4&&g&%00h=5&i%00=6&%C3%BC=7"),
    "one name twice in the query": Ask("SCRIPT?a=1&a=2&A=3&a[]=4"),
    "encoded query": Ask("SCRIPT?a=%26%3D%2B&b=%ff&c=%zz&d=%&e=%u1234"),
    "a query without values": Ask("SCRIPT?a+b+c"),
    "a query with semicolons": Ask("SCRIPT?a=1;b=2"),
    "a query that is an address": Ask("SCRIPT?http://a.test/?b=c"),
    "a long query": Ask("SCRIPT?" + "&".join(f"name{number}={number}" for number in range(300))),
    "more variables than allowed": Ask("SCRIPT?" + "&".join(f"n{number}" for number in range(1003))),
    "POST": Ask(method="POST", body=b"a=1&b[]=2&b[]=3", headers=FORM),
    "POST with a query": Ask("SCRIPT?a=0&c=4", method="POST", body=b"a=1", headers=FORM),
    "POST of nothing": Ask(method="POST"),
    "POST of nothing as a form": Ask(method="POST", headers=FORM),
    "POST without a type": Ask(method="POST", body=b"a=1"),
    "HEAD": Ask(method="HEAD"),
    "PUT": Ask(method="PUT", body=b"{}", headers={"Content-Type": "application/json; charset=utf-8"}),
    "PUT of a form": Ask(method="PUT", body=b"a=1", headers=FORM),
    "PATCH": Ask(method="PATCH", body=b"[1]", headers={"Content-Type": "application/json-patch+json"}),
    "DELETE": Ask(method="DELETE"),
    "DELETE with a body": Ask(method="DELETE", body=b"why", headers={"Content-Type": "text/plain"}),
    "OPTIONS": Ask(method="OPTIONS"),
    "TRACE": Ask(method="TRACE"),
    "PROPFIND": Ask(method="PROPFIND", headers={"Depth": "1"}),
    "GET with a body": Ask(body=b"a=1", headers=FORM),
    "an unknown method": Ask(method="GATHER"),
    "a method in small letters": Ask(method="get"),
    "a method with a dash": Ask(method="M-SEARCH"),
    "a long method": Ask(method="X" * 60),
    "a body in chunks": Ask(
        method="POST",
        body=b"3\r\na=1\r\n4\r\n&b=2\r\n0\r\n\r\n",
        headers={**FORM, "Transfer-Encoding": "chunked"},
    ),
    "a type in capitals": Ask(
        method="POST", body=b"a=1", headers={"Content-Type": "APPLICATION/X-WWW-FORM-URLENCODED; charset=X"}
    ),
    "a type with a comma": Ask(
        method="POST", body=b"a=1", headers={"Content-Type": "application/x-www-form-urlencoded, text/plain"}
    ),
    "an empty type": Ask(method="POST", body=b"a=1", headers={"Content-Type": ""}),
}

_SITE = Case("requests of all kinds", SHOW)

_SETTINGS: dict[str, str] = {
    "variables_order of nothing": "variables_order = ",
    "variables_order E": "variables_order = E",
    "variables_order EGPCS": "variables_order = EGPCS",
    "variables_order SEG": "variables_order = SEG",
    "variables_order with an environment made late": "variables_order = EGPCS\nauto_globals_jit = 1",
    "variables_order with everything made early": "variables_order = EGPCS\nauto_globals_jit = 0",
    "request_order CGP": "request_order = CGP",
    "request_order of nothing": "request_order = ",
    "auto_globals_jit off": "auto_globals_jit = off",
    "arguments": "register_argc_argv = on",
    "arguments made late": "register_argc_argv = on\nauto_globals_jit = off",
    "an own separator": 'arg_separator.input = "&;+"',
    "few variables": "max_input_vars = 2",
    "flat variables": "max_input_nesting_level = 1",
    "a filter for everything": "filter.default = special_chars",
    "a filter that quotes": "filter.default = add_slashes",
    "input in another encoding": "mbstring.encoding_translation = 1\ninput_encoding = ISO-8859-1",
}

_FULL = Ask(
    "SCRIPT?a=<b>&c[d][e]='f'+g&h;i=j",
    method="POST",
    body=b"a=%22post%22&k=%FC",
    headers={**FORM, "Cookie": "a=<cookie>; l=1", "X-Tag": "<x>'\""},
)

FILTER = f"""
$found = [];
foreach (['REQUEST_METHOD', 'QUERY_STRING', 'HTTP_X_TAG', 'SCRIPT_NAME', 'PHP_SELF', 'NONE', 'KEEPER'] as $name) {{
    foreach ([FILTER_DEFAULT, FILTER_SANITIZE_SPECIAL_CHARS, FILTER_VALIDATE_INT] as $filter) {{
        $found[$name][] = [filter_input(INPUT_SERVER, $name, $filter), filter_input(INPUT_ENV, $name, $filter)];
    }}
    $found[$name][] = [filter_has_var(INPUT_SERVER, $name), filter_has_var(INPUT_ENV, $name)];
}}
$found['get'] = filter_input_array(INPUT_GET, ['a' => FILTER_UNSAFE_RAW, 'c' => ['flags' => FILTER_REQUIRE_ARRAY]]);
$found['post'] = filter_input_array(INPUT_POST);
$found['cookie'] = filter_input_array(INPUT_COOKIE);
$found['time'] = gettype(filter_input(INPUT_SERVER, 'REQUEST_TIME'));
echo json_encode($found, {JSON});
"""

TIMES = """
var_dump(is_int($_SERVER['REQUEST_TIME']), is_float($_SERVER['REQUEST_TIME_FLOAT']));
var_dump(abs($_SERVER['REQUEST_TIME_FLOAT'] - $_SERVER['REQUEST_TIME']) < 1, abs(time() - $_SERVER['REQUEST_TIME']) < 60);
var_dump($_SERVER['REQUEST_TIME_FLOAT'] <= microtime(true), array_key_last($_SERVER));
"""

ENVIRONMENT = f"""
$names = ['KEEPER', 'EMPTY', 'INHERITED', 'SPACES', 'PATH', 'USER', 'HOME', 'FCGI_ROLE', 'REQUEST_METHOD', 'NONE', ''];
foreach ($names as $name) {{
    $found[$name] = [getenv($name), getenv($name, true), $_SERVER[$name] ?? null, $_ENV[$name] ?? null];
}}
$found['all of the process'] = array_keys(getenv(null, true));
putenv('KEEPER=changed');
putenv('FRESH=1');
putenv('INHERITED');
$found['changed'] = [getenv('KEEPER'), getenv('FRESH'), getenv('INHERITED'), getenv()['KEEPER'] ?? null];
putenv('REQUEST_METHOD=changed');
$found['a variable of the request'] = [getenv('REQUEST_METHOD'), getenv('REQUEST_METHOD', true)];
putenv('REQUEST_METHOD');
$found['children'] = array_map(fn($name) => shell_exec("printenv $name"), ['KEEPER', 'FRESH', 'SPACES', 'QUERY_STRING']);
echo json_encode($found, {JSON});
"""

CASES = [
    _SITE,
    *(Case(name, "", (ask,), at=_SITE.folder) for name, ask in REQUESTS.items()),
]

CASES_OF_SETTINGS = [
    *(Case(name, SHOW, (Ask(), _FULL), ini=lines) for name, lines in _SETTINGS.items()),
    Case("filters", FILTER, (Ask(), _FULL)),
    Case("filters with variables made early", FILTER, (Ask(), _FULL), ini="auto_globals_jit = off"),
    Case("filters after a filter for everything", FILTER, (_FULL,), ini="filter.default = special_chars"),
    Case("times", TIMES),
    Case("environment", ENVIRONMENT, (Ask(), Ask())),
    Case("environment in $_ENV", ENVIRONMENT, (Ask(), Ask()), ini="variables_order = EGPCS"),
    Case("environment of the server", ENVIRONMENT, (Ask(), Ask()), pool="inherited"),
    Case("everything with the environment of the server", SHOW, pool="inherited"),
    Case("environment of a pool without one", ENVIRONMENT, (Ask(), Ask()), pool="quiet"),
    Case(
        "headers by all functions",
        "var_dump(getallheaders() === apache_request_headers()); print_r(apache_request_headers());"
        "print_r(function_exists('apache_note'));",
        (_FULL,),
    ),
    Case(
        "globals in functions",
        "function f() { print_r(array_keys($GLOBALS)); var_dump($_GET); } f();",
        (_FULL,),
    ),
    Case(
        "changed variables",
        "$_SERVER['X'] = 1; $_GET['a'] = 2; var_dump(getenv('X'), $_REQUEST['a'] ?? null, filter_input(INPUT_GET, 'a'));",
        (_FULL,),
    ),
    Case(
        "import into the environment", "parse_str($_SERVER['QUERY_STRING'], $all); print_r($all);", (_FULL,)
    ),
]
