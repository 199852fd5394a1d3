"""What goes wrong in scripts, how it ends, and where it is told."""

from tests.integration.side_by_side.case import Ask, Case

HEAD = Ask(method="HEAD")

SHOWN = "display_errors = 1\nhtml_errors = 0"

# Each of them on its own, with errors shown, shown as HTML, and hidden.
MISTAKES: dict[str, str] = {
    "a warning": "echo 'a'; echo $undefined; echo 'b';",
    "warnings of all kinds": 'foreach ([E_USER_NOTICE, E_USER_WARNING, E_USER_DEPRECATED] as $k) { trigger_error("kind <$k>", $k); }',
    "a fatal error before any output": "no_such_function();",
    "a fatal error after output": "echo 'a'; no_such_function();",
    "a fatal error after a flush": "echo 'a'; ob_flush(); flush(); no_such_function();",
    "a fatal error with a code": "http_response_code(404); no_such_function();",
    "a fatal error with headers": "header('X-A: 1'); header('Content-Type: application/json'); no_such_function();",
    "a fatal error of the script": "echo 'a'; trigger_error('own <b>words</b>', E_USER_ERROR); echo 'not reached';",
    "a fatal error in a buffer": "ob_start(fn($t) => \"<$t>\"); echo 'a'; no_such_function();",
    "an exception": "throw new RuntimeException('own <b>words</b>', 5, new LogicException('before'));",
    "an exception after output": "echo 'a'; throw new Exception('late');",
    "an exception of a deep call": "function f($n, $x) { $n ? f($n - 1, $x) : throw new Exception('deep'); } f(5, str_repeat('x', 50));",
    "a type error": "function f(int $x) {} f('x');",
    "a division by zero": "echo 1 % 0;",
    "a parse error": "echo 'a' 'b';",
    "a parse error in a file": "echo 'a'; include 'broken.inc'; echo 'b';",
    "a compile error": "class A {} class A {}",
    "a file that is not there": "echo 'a'; include 'none.inc'; echo 'b';",
    "a file that is needed and not there": "echo 'a'; require 'none.inc'; echo 'b';",
    "too much memory": "ini_set('memory_limit', '8M'); echo 'a'; $a = str_repeat('x', 20 << 20);",
    "endless recursion": "ini_set('memory_limit', '8M'); function f($a) { f([$a]); } f([]);",
    "a failed assertion": "ini_set('zend.assertions', 1); assert(1 > 2, 'words');",
    "an error that is held back": "echo @$undefined; @trigger_error('x'); print_r(error_get_last()['message']);",
}

EVENTS: dict[str, str] = {
    "a handler for errors": "set_error_handler(function ($n, $text) { echo \"[$n $text]\"; return true; }); echo $undefined; trigger_error('x', E_USER_ERROR); echo 'b';",
    "a handler that leaves it to PHP": "set_error_handler(fn() => false); echo $undefined;",
    "a handler that throws": "set_error_handler(function ($n, $text) { throw new ErrorException($text); }); try { echo $undefined; } catch (ErrorException $e) { echo 'caught'; } echo $undefined;",
    "a handler for exceptions": "set_exception_handler(function ($e) { http_response_code(503); echo get_class($e); }); throw new Exception('x');",
    "a handler for exceptions that throws": "set_exception_handler(function ($e) { throw $e; }); throw new Exception('x');",
    "a shutdown function after a fatal error": "register_shutdown_function(function () { http_response_code(503); echo error_get_last()['message']; }); no_such_function();",
    "a fatal error in a shutdown function": "register_shutdown_function(function () { echo 'a'; no_such_function(); }); echo 'b';",
    "an exception in a destructor": "class D { function __destruct() { throw new Exception('in the end'); } } $d = new D; echo 'a';",
    "an exception in a generator": "function g() { try { yield 1; } finally { echo 'closed'; } } foreach (g() as $x) { throw new Exception('x'); }",
    "a fiber that fails": "$f = new Fiber(function () { Fiber::suspend(1); throw new Exception('in a fiber'); }); $f->start(); $f->resume();",
    "error_get_last": "var_dump(error_get_last()); echo @$a; print_r(error_get_last()); error_clear_last(); var_dump(error_get_last());",
    "what is printed on an error": "ini_set('error_prepend_string', '<<'); ini_set('error_append_string', '>>'); ini_set('display_errors', 1); echo $a;",
    "links to the manual": "ini_set('html_errors', 1); ini_set('display_errors', 1); ini_set('docref_root', '/m/'); ini_set('docref_ext', '.htm'); fopen();",
    "links for warnings": "ini_set('html_errors', 1); ini_set('display_errors', 1); ini_set('docref_root', '/m/'); fopen('/none', 'r'); strlen();",
    "display to stderr": "ini_set('display_errors', 'stderr'); echo $a; echo 'b';",
    "display to stdout": "ini_set('display_errors', 'stdout'); echo $a; echo 'b';",
    "repeated errors": "ini_set('ignore_repeated_errors', 1); ini_set('display_errors', 1); for ($i = 0; $i < 3; $i++) { echo $a; } trigger_error('b'); echo $a;",
    "an error level": "error_reporting(E_ALL & ~E_WARNING); echo $a; trigger_error('b'); echo error_reporting(0); trigger_error('c');",
    "no time": "set_time_limit(0); var_dump(ini_get('max_execution_time')); set_time_limit(60); var_dump(ini_get('max_execution_time'));",
    "exit codes": "exit(3);",
    "a large exit code": "exit(300);",
    "a negative exit code": "exit(-1);",
    "exit code 255": "echo 'a'; exit(255);",
    "exit with text": "exit('good bye');",
    "exit with nothing": "echo 'a'; exit;",
    "exit with a code and a status": "http_response_code(404); exit(1);",
    "exit in a function that is called back": "array_map(function ($x) { echo $x; exit('out'); }, [1, 2]);",
    "exit in a file": "echo 'a'; include 'exit.inc'; echo 'not reached';",
    "exit in a shutdown function": "register_shutdown_function(fn() => exit(7)); echo 'a';",
    "return of the script": "echo 'a'; return 5; echo 'not reached';",
    "a message for the log": "error_log('to the log'); error_log('again'); echo 'a';",
    "a message of several lines": "error_log(\"one\\ntwo\\r\\nthree\\n\"); error_log(''); error_log(' ');",
    "a long message": "error_log(str_repeat('x', 3000)); error_log('after');",
    "a very long message": "error_log(str_repeat('0123456789', 9000)); error_log('after');",
    "a message with odd bytes": "error_log(\"a\\0b\\x01\\x7f\\xff\\xc3\\xa4\\t\"); error_log('after');",
    "a message before any header": "error_log('early'); header('X-A: 1'); echo 'a';",
    "a message after a flush": "echo 'a'; flush(); error_log('late'); echo 'b';",
    "a message by mail": "var_dump(error_log('to the keeper', 1, 'keeper@kraal.test'));",
    "a message to a file": "$f = tempnam('', 'k'); var_dump(error_log('to a file', 3, $f)); echo file_get_contents($f); unlink($f);",
    "a message to the server": "var_dump(error_log('to the server', 4)); echo 'a';",
    "a message of no kind": "try { var_dump(error_log('x', 2)); } catch (Error $e) { echo $e->getMessage(); } var_dump(error_log('x', 9));",
    "a message to a log of its own": "$f = tempnam('', 'k'); ini_set('error_log', $f); error_log('own'); echo preg_replace('/^\\[.*?\\] /', '', file_get_contents($f)); unlink($f);",
    "a message to a log that cannot be": "ini_set('error_log', '/none/of/this'); error_log('lost'); echo 'a';",
    "a message for the system's log": "openlog('kraal-test', LOG_PID, LOG_USER); var_dump(syslog(LOG_DEBUG, 'x')); closelog();",
    "php://stderr": "file_put_contents('php://stderr', 'to standard error'); echo 'a';",
    "a warning that PHP writes at its start": "session_id('early'); session_start(); session_start(); echo 'a';",
    "headers too late": "ob_end_flush(); echo 'a'; flush(); header('X-A: 1'); http_response_code(404); setcookie('a', 'b'); header_remove();",
    "deprecation": "ini_set('display_errors', 1); error_reporting(E_ALL); function f(int $a = 1, $b) {} echo strlen(null);",
    "a stack that was shortened": "ini_set('zend.exception_string_param_max_len', 3); ini_set('zend.exception_ignore_args', 0); function f($x) { throw new Exception('x'); } f('abcdef');",
}

FILES = {"broken.inc": "<?php\n\necho 'a' 'b';\n", "exit.inc": "<?php exit('out');"}

_ENDLESS = """
register_shutdown_function(function () { echo 'shut down: ', error_get_last()['message'], connection_status(); });
echo 'a';
while (true) { }
"""

SLOW = [Case("max_execution_time", _ENDLESS, ini="max_execution_time = 1")]

_DISPLAY = {
    "hidden": "display_errors = 0",
    "shown": SHOWN,
    "shown as HTML": "display_errors = 1\nhtml_errors = 1",
    "shown and not logged": SHOWN + "\nlog_errors = 0",
}

CASES = [
    *(
        Case(f"{name}, {how}", code, (Ask(), HEAD), ini=ini, files=FILES)
        for name, code in MISTAKES.items()
        for how, ini in _DISPLAY.items()
    ),
    *(Case(name, code, (Ask(), HEAD), files=FILES) for name, code in EVENTS.items()),
    *(
        Case(f"{name}, marked", MISTAKES[name], (Ask(), HEAD), pool="quiet", files=FILES)
        for name in MISTAKES
        if "fatal" in name or "exception" in name
    ),
    Case("a message that the web server does not get", "error_log('x'); echo $a; echo 'a';", pool="quiet"),
    Case("exit code 255, marked", "exit(255);", pool="quiet"),
    Case("nothing wrong, marked", "echo 'a';", pool="quiet"),
    Case(
        "errors of a fenced pool",
        "echo $a; echo file_get_contents('/etc/hostname'); exec('true');",
        (Ask(), HEAD),
        pool="fenced",
    ),
    Case(
        "a file outside of the fence",
        "var_dump(is_file('/etc/passwd'), @include '/etc/passwd'); chdir('/'); echo getcwd();",
        pool="fenced",
    ),
    Case(
        "functions and classes that are disabled",
        "var_dump(function_exists('exec'), class_exists('ArrayIterator')); new ArrayIterator([]); echo 'a'; phpversion();",
        pool="fenced",
    ),
    Case(
        "limits of a fenced pool",
        "var_dump(ini_get('memory_limit'), ini_set('log_errors', 1), ini_set('memory_limit', '64M'), ini_get('open_basedir')===$_SERVER['DOCUMENT_ROOT'], ini_get_all('standard')['user_agent']);",
        pool="fenced",
    ),
    Case("too much memory of a fenced pool", "$a = str_repeat('x', 40 << 20);", pool="fenced"),
    Case(
        "a setting of a folder that the pool has fixed",
        "var_dump(ini_get('log_errors'), ini_get('display_errors'), ini_get('memory_limit'));",
        pool="fenced",
        ini="log_errors = on\ndisplay_errors = off\nmemory_limit = 16M",
    ),
]
