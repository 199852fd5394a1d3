"""Requests that change whatever a script can change, and a script that shows what is left of it.

What stays in a worker by nature is apart, as STAYING.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PARTS = {"Content-Type": "multipart/form-data; boundary=x"}
UPLOAD = (
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="name.txt"\r\n\r\ncontent\r\n'
    b'--x\r\nContent-Disposition: form-data; name="field"\r\n\r\nvalue\r\n--x--\r\n'
)


@dataclass(frozen=True, slots=True)
class Disturbance:
    """A request: the code of its script, and what is sent with it."""

    code: str
    method: str | None = None
    query: str = ""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)
    leaves: bool = False  # the client does not wait for the answer


_OF_CODE: dict[str, str] = {
    "settings": """
        foreach (['precision' => '3', 'display_errors' => '1', 'memory_limit' => '77M',
        'error_log' => '/tmp/none', 'default_charset' => 'ISO-8859-1', 'html_errors' => '1',
        'user_agent' => 'me', 'default_socket_timeout' => '3', 'arg_separator.output' => '&amp;',
        'serialize_precision' => '5', 'auto_detect_line_endings' => '1', 'pcre.backtrack_limit' => '10',
        'zend.enable_gc' => '0', 'unserialize_callback_func' => 'strlen', 'intl.default_locale' => 'de',
        'assert.active' => '0', 'date.timezone' => 'Asia/Tokyo', 'implicit_flush' => '1',
        'sendmail_from' => 'a@b.c'] as $name => $value) { @ini_set($name, $value); }
        @ini_alter('precision', '4');""",
    "include path": "set_include_path('/nowhere');",
    "session settings": """
        session_name('OTHER'); session_cache_limiter('public'); session_cache_expire(5);
        session_id('abcdef0123'); session_set_cookie_params(['path' => '/x', 'httponly' => true]);
        session_save_path('/tmp');""",
    "environment": """
        putenv('PRIVATE=value'); putenv('PATH=/nowhere'); putenv('TZ=Asia/Tokyo'); putenv('USER');""",
    "locale": """
        setlocale(LC_ALL, 'C.utf8'); setlocale(LC_CTYPE, 'C.UTF-8'); setlocale(LC_NUMERIC, 'POSIX');""",
    "working folder": "chdir('/usr');",
    "umask": "umask(0);",
    "time zone": "date_default_timezone_set('Asia/Tokyo');",
    "encodings": """
        mb_internal_encoding('SJIS'); mb_language('Japanese'); mb_http_output('EUC-JP');
        mb_substitute_character(0x41); mb_detect_order(['SJIS']); mb_regex_encoding('EUC-JP');
        @iconv_set_encoding('internal_encoding', 'ISO-8859-1');""",
    "error reporting": """
        error_reporting(0); set_error_handler(fn() => true); set_exception_handler(fn() => 1);""",
    "last errors": """
        @trigger_error('private'); @json_decode('{'); @preg_match('/(?:\\D+|<\\d+>)*[!?]/',
        str_repeat('foobar', 100)); date_create('nonsense'); intl_is_failure(1); @new Collator('@');
        mysqli_report(MYSQLI_REPORT_OFF); @mysqli_connect('127.0.0.1', 'x', 'y', 'z', 1);
        libxml_use_internal_errors(true); simplexml_load_string('<b');
        libxml_use_internal_errors(false); @simplexml_load_string('<a'); @unserialize('x');
        @fopen('/none', 'r');""",
    "shutdown function": """
        register_shutdown_function(function () { ini_set('precision', '2'); echo 'late'; });""",
    "output buffers": """
        ob_start(); ob_start(fn($text) => strtoupper($text)); echo 'kept'; ob_implicit_flush(true);""",
    "output callback exits": "ob_start(function ($text) { exit; }); echo 'text';",
    "output callback throws": """
        ob_start(function ($text) { throw new Exception('in a callback'); }); echo 'text';""",
    "rewritten links": """
        output_add_rewrite_var('private', 'value'); echo '<a href="x.php">x</a>';""",
    "stream wrappers": """
        class Wrapper { public $context; function stream_open() { return false; } }
        stream_wrapper_register('private', 'Wrapper'); stream_wrapper_unregister('http');
        stream_wrapper_unregister('file'); @file_get_contents('private://x');
        stream_wrapper_restore('file');""",
    "stream filters": "class F extends php_user_filter {} stream_filter_register('private.*', 'F');",
    "default context": "stream_context_set_default(['http' => ['header' => 'Private: value']]);",
    "libxml": """
        libxml_use_internal_errors(true); libxml_set_external_entity_loader(fn() => null);
        libxml_set_streams_context(stream_context_create(['http' => ['header' => 'x']]));""",
    "session": "session_start(); $_SESSION['private'] = 'value'; exit;",
    "session handler": """
        class Handler implements SessionHandlerInterface { function open($a, $b): bool { return true; }
        function close(): bool { return true; } function read($id): string { return ''; }
        function write($id, $data): bool { return true; } function destroy($id): bool { return true; }
        function gc($time): int { return 0; } } session_set_save_handler(new Handler, true);
        session_start(); $_SESSION['private'] = 1;""",
    "names": """
        define('PRIVATE_CONSTANT', 1); const OTHER_CONSTANT = 2; class PrivateClass {}
        function private_function() {} class_alias('PrivateClass', 'PrivateAlias'); enum PrivateEnum {
        case A; } interface I {} trait T {} $private = 1; $GLOBALS['more'] = 2;
        eval('function private_too() {}');""",
    "static variables": """
        include __DIR__ . '/library.php'; counted(); counted(); Library::$number = 7; Library::count();""",
    "autoloader": """
        spl_autoload_register(function ($name) { echo 'asked for ', $name; });
        spl_autoload_extensions('.x');""",
    "ticks": """
        declare(ticks=1); function tick() { echo 'tick'; } register_tick_function('tick'); $x = 1;
        $y = 2;""",
    "assertions": "@assert_options(ASSERT_WARNING, 0); @assert_options(ASSERT_CALLBACK, 'strlen');",
    "garbage": """
        gc_disable(); $a = []; $a[] = &$a; class C { public $c; } $c = new C; $c->c = $c;
        ini_set('memory_limit', -1);""",
    "abort and time": """
        ignore_user_abort(true); set_time_limit(1234);
        header_register_callback(fn() => header('X-Late: 1'));""",
    "headers": """
        header('X-Private: value'); header('Content-Type: text/x-private'); http_response_code(418);
        setcookie('private', 'value'); header_remove('X-Powered-By');
        header('HTTP/1.1 404 Gone Fishing');""",
    "headers at the end": """
        header_register_callback(function () { header('X-Late: value'); http_response_code(500); });""",
    "redirect": "header('Location: /elsewhere'); exit;",
    "random numbers": "mt_srand(42); srand(42); mt_rand(); lcg_value(); rand();",
    "strtok": "strtok('one two three', ' ');",
    "open files": """
        for ($i = 0; $i < 20; $i++) { $GLOBALS['f' . $i] = fopen(__FILE__, 'r'); } opendir('/tmp');
        tmpfile();""",
    "fatal error": "ini_set('precision', '1'); ob_start(); function_that_is_not_there();",
    "exception": "chdir('/'); putenv('PRIVATE=x'); throw new Exception('not caught');",
    "compile error": "ob_start(); putenv('PRIVATE=x'); include __DIR__ . '/broken.php';",
    "out of memory": "ini_set('memory_limit', '8M'); umask(0); $x = str_repeat('x', 1 << 25);",
    "exit in a destructor": """
        class Dies { function __destruct() { putenv('PRIVATE=x'); ini_set('precision', '1');
        exit('dead'); } } $GLOBALS['dies'] = new Dies; ob_start();""",
    "exception in a destructor": """
        class D { function __destruct() { throw new Exception('x'); } } $d = new D;""",
    "finished early": """
        fastcgi_finish_request(); putenv('PRIVATE=x'); ini_set('precision', '1'); chdir('/');
        setlocale(LC_ALL, 'C.utf8'); header('X-Private: value'); ob_start(); echo 'unseen';
        session_id('x');""",
    "exit in a shutdown function": "register_shutdown_function(fn() => exit(3)); ob_start(); umask(0);",
    "cache": "opcache_invalidate(__FILE__, true); opcache_compile_file(__DIR__ . '/library.php');",
    "cache not used": """
        ini_set('opcache.enable', '0'); ini_set('opcache.jit', 'off'); include __DIR__ . '/library.php';""",
    "files": """
        $f = tempnam(sys_get_temp_dir(), 'k'); chmod($f, 0600); touch($f, 1); unlink($f);
        realpath('/usr/bin');""",
    "translations": "Locale::setDefault('ja_JP');",
    "own output": """
        while (ob_get_level()) { ob_end_clean(); } echo str_repeat('x', 70000); flush(); headers_sent();""",
    "log": """
        error_log('said'); trigger_error('a warning', E_USER_WARNING); syslog(LOG_DEBUG, 'x');
        closelog();""",
}
_READ = "echo strlen(file_get_contents('php://input')), count($_POST), count($_FILES);"

DISTURBANCES: dict[str, Disturbance] = {name: Disturbance(code) for name, code in _OF_CODE.items()} | {
    "query": Disturbance("echo count($_GET);", query="private=value&a[]=1"),
    "cookies": Disturbance("echo count($_COOKIE);", headers={"Cookie": "private=value; PHPSESSID=abc"}),
    "form": Disturbance(_READ, body=b"private=value", headers=FORM),
    "form not read": Disturbance("ini_set('precision', '1');", body=b"x" * 100_000),
    "upload": Disturbance(_READ + "move_uploaded_file('x', 'y');", body=UPLOAD, headers=PARTS),
    "broken upload": Disturbance(_READ, body=UPLOAD[:40], headers=PARTS),
    "authentication": Disturbance("echo $_SERVER['PHP_AUTH_USER'];", headers={"Authorization": "Basic dTpw"}),
    "digest": Disturbance(
        "echo $_SERVER['PHP_AUTH_DIGEST'];", headers={"Authorization": 'Digest username="u"'}
    ),
    "params": Disturbance("echo getenv('PRIVATE');", extra={"PRIVATE": "value", "HTTP_X_PRIVATE": "value"}),
    "value": Disturbance(
        "echo ini_get('precision');", extra={"PHP_VALUE": "precision=5\nuser_agent=x\nmemory_limit=64M"}
    ),
    "admin value": Disturbance(
        "ini_set('precision', 9);", extra={"PHP_ADMIN_VALUE": "precision=5\nopen_basedir=/tmp:/var"}
    ),
    "HEAD": Disturbance("echo 'unseen'; header('X-Private: 1');", method="HEAD"),
    "odd method": Disturbance("http_response_code(201);", method="PROPFIND", body=b"<x/>"),
    "client that leaves": Disturbance(
        "ignore_user_abort(false); putenv('A=b'); ob_start(); echo 1;", leaves=True
    ),
    "client that leaves early": Disturbance(
        "umask(0); for ($i = 0; $i < 50; $i++) { echo str_repeat('x', 9000); flush(); }", leaves=True
    ),
}

# What stays, under php-fpm too, by what it is seen in.
STAYING: dict[str, str] = {
    "regex options": "mb_regex_set_options('i');",
    "openssl error": "@openssl_pkey_get_private('nonsense');",
    "system errors": "posix_kill(99999999, 0); @socket_connect(socket_create(1, 1, 0), '/none');",
    "text domain": "textdomain('private');",
    "limits": "posix_setrlimit(POSIX_RLIMIT_NOFILE, 200, 200);",
    "priority": "proc_nice(1);",
    "leader": "posix_setsid();",
}

# For the scripts above and below.
LIBRARY = """
    function counted() { static $count = 0; return ++$count; }
    class Library {
        static $number = 0;
        static function count() { static $count = 0; return ++$count; }
    }
"""
BROKEN = "this is no PHP"

PROBE = """
declare(ticks=1);
include __DIR__ . '/library.php';
$found = [
    'settings' => ini_get_all(),
    'environment' => getenv(),
    'SERVER' => array_diff_key($_SERVER, ['REQUEST_TIME' => 1, 'REQUEST_TIME_FLOAT' => 1]),
    'ENV' => array_diff_key($_ENV, ['REQUEST_TIME' => 1, 'REQUEST_TIME_FLOAT' => 1]),
    'input' => [$_GET, $_POST, $_COOKIE, $_FILES, $_REQUEST, isset($_SESSION)],
    'body' => file_get_contents('php://input'),
    'globals' => array_keys($GLOBALS),
    'request headers' => getallheaders(),
    'locale' => [setlocale(LC_ALL, 0), localeconv(), nl_langinfo(CODESET), Locale::getDefault()],
    'place' => [getcwd(), umask(), sys_get_temp_dir(), get_include_path()],
    'time' => [date_default_timezone_get(), date('H', 0), date_get_last_errors()],
    'encodings' => [
        mb_internal_encoding(), mb_language(), mb_http_output(), mb_substitute_character(), mb_detect_order(),
        mb_regex_encoding(), mb_http_input(), @iconv_get_encoding(),
    ],
    'regex options' => mb_regex_set_options(),
    'errors' => [
        error_reporting(), error_get_last(), json_last_error(), preg_last_error(), libxml_get_last_error(),
        set_error_handler(null), set_exception_handler(null), count(libxml_get_errors()),
    ],
    'other errors' => [mysqli_connect_errno(), (new mysqli_driver)->report_mode, intl_get_error_code()],
    'openssl error' => openssl_error_string(),
    'system errors' => [posix_get_last_error(), socket_last_error()],
    'headers' => [headers_list(), http_response_code(), headers_sent()],
    'output' => [ob_get_level(), ob_list_handlers(), ob_get_status(true)],
    'streams' => [
        stream_get_wrappers(), stream_get_filters(), stream_context_get_options(stream_context_get_default()),
    ],
    'libxml' => [libxml_use_internal_errors(), libxml_get_external_entity_loader()],
    'session' => [
        session_status(), session_id(), session_name(), session_module_name(), session_save_path(),
        session_get_cookie_params(), session_cache_limiter(), session_cache_expire(),
    ],
    'names' => [
        get_defined_constants(true)['user'] ?? [], get_defined_functions()['user'], get_declared_traits(),
        count(get_declared_classes()), count(get_declared_interfaces()), get_included_files(),
        class_exists('NotThere'),
    ],
    'counters' => [counted(), Library::$number, Library::count()],
    'autoloaders' => [spl_autoload_functions(), spl_autoload_extensions()],
    'assertions' => [
        @assert_options(ASSERT_ACTIVE), @assert_options(ASSERT_WARNING), @assert_options(ASSERT_CALLBACK),
    ],
    'garbage' => [gc_enabled(), gc_status()['runs'], gc_status()['roots']],
    'connection' => [ignore_user_abort(), connection_status()],
    'strtok' => strtok(' '),
    'memory' => [memory_get_usage() >> 22, memory_get_peak_usage() >> 22],
    'resources' => array_count_values(array_map('get_resource_type', get_resources())),
    'limits' => posix_getrlimit(),
    'priority' => preg_split('/.*\\) | /', file_get_contents('/proc/self/stat'))[17],
    'leader' => posix_getsid(0) === posix_getpid(),
    'process' => preg_replace_callback(
        '/^(SigIgn|SigCgt):\\s*(\\w+)/',
        // The thread that a worker has for its connections; glibc catches two signals of its own then.
        fn ($found) => $found[1] . dechex(hexdec($found[2]) & ~0x180000000),
        preg_grep('/^(Umask|SigBlk|SigIgn|SigCgt|Groups):/', file('/proc/self/status')),
    ),
    'threads' => count(array_diff(
        array_map(file_get_contents(...), glob('/proc/self/task/*/comm')),
        ["kraal: keeper\n"],
    )),
    'text domain' => textdomain(null),
];
$found['open files'] = [];  // sockets are the server's business
foreach (scandir('/proc/self/fd') as $fd) {
    $name = @readlink("/proc/self/fd/$fd");
    if ($name !== false && !str_starts_with($name, 'socket:')) {
        $own = '~^/proc/\\d+|\\.\\w{6} \\(deleted\\)|kraal[-+](www|fresh)~';
        $found['open files'][] = preg_replace($own, '', $name);
    }
}
sort($found['open files']);
$found = array_map('serialize_unless_closure', $found);
function serialize_unless_closure($value) { return @json_encode($value, JSON_PARTIAL_OUTPUT_ON_ERROR); }
echo '<a href="x.php">link</a>', "\\n", getmypid(), ' ', mt_rand(), "\\n", json_encode($found);
"""
