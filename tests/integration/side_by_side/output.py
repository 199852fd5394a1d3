"""How a script's output becomes a body: buffers, handlers, flushing, compression, the end of a response."""

from tests.integration.side_by_side.case import Ask, Case

GZIP = Ask(headers={"Accept-Encoding": "gzip, deflate"})
HEAD = Ask(method="HEAD")
BOTH = (Ask(), HEAD)
PACKED = (Ask(), GZIP, Ask(method="HEAD", headers={"Accept-Encoding": "gzip"}))

STATES = "print_r(array_map(fn($of) => [$of['name'], $of['level'], $of['flags'], $of['status']], ob_get_status(true)));"

FINISH_AND_REPORT = """
$file = sys_get_temp_dir() . '/kraal-finished-' . basename($_SERVER['DOCUMENT_ROOT']) . '-' . posix_getppid();
if (isset($_GET['report'])) {
    exit(file_get_contents($file) . var_export(unlink($file), true));
}
"""


def finishing(name: str, code: str, *, ini: str = "") -> Case:
    """A script that tells a second request what became of it after its answer."""
    return Case(name, FINISH_AND_REPORT + code, (Ask(), Ask("SCRIPT?report")), ini=ini)


CASES = [
    Case("text", "echo 'Hello';", BOTH),
    Case("no output", "$a = 1;", BOTH),
    Case("an empty script", "<?php", BOTH),
    Case("text outside of PHP", "<html><?= 1 + 1 ?>\n\n</html>\n", BOTH),
    Case(
        "a first line that is for a shell",
        "<?php echo __LINE__;",
        files={"shebang.php": "#!/usr/bin/php\n<?php echo __LINE__;"},
        asks=(Ask("DIR/shebang.php"),),
    ),
    Case(
        "a byte order mark",
        "x",
        files={"mark.php": "<?php header('X-A: 1'); ?>\ufeff"},
        asks=(Ask("DIR/mark.php"),),
    ),
    Case(
        "zero bytes",
        r"echo \"a\0b\", chr(0), random_bytes(0), pack('N*', 1, 2, 3);".replace('\\"', '"'),
        BOTH,
    ),
    Case("a megabyte in one piece", "echo str_repeat('0123456789abcdef', 65536);", BOTH),
    Case(
        "a megabyte in small pieces",
        'for ($i = 0; $i < 40000; $i++) { echo str_repeat(chr(97 + $i % 26), $i % 40), "\\n"; }',
        BOTH,
    ),
    Case("exactly a record", "echo str_repeat('x', 65535);"),
    Case("a byte more than a record", "echo str_repeat('x', 65536);"),
    Case("eight kilobytes", "echo str_repeat('x', 8192); flush(); echo str_repeat('y', 8184);"),
    Case(
        "print and printf",
        "print 'a'; printf('%05d', 3); vprintf('%s', ['b']); echo 1.0, true, null, PHP_EOL; print_r([1]);",
    ),
    Case("a file", "var_dump(readfile(__FILE__)); $f = fopen(__FILE__, 'r'); var_dump(fpassthru($f));"),
    Case(
        "a large file",
        "file_put_contents($f = tempnam('', 'k'), str_repeat('x', 300000)); readfile($f); unlink($f);",
    ),
    Case(
        "php://output",
        "file_put_contents('php://output', 'a'); $o = fopen('php://output', 'w'); fwrite($o, 'b'); fclose($o);",
    ),
    Case(
        "a stream copied to the output",
        "stream_copy_to_stream(fopen('data:,abc', 'r'), fopen('php://output', 'w'));",
    ),
    Case(
        "a program's output", "passthru('echo from a program'); system('echo another'); echo `printf three`;"
    ),
    Case("flush", "echo 'a'; flush(); echo 'b'; flush(); flush(); echo 'c';", BOTH),
    Case(
        "flush before any output",
        "header('X-A: 1'); flush(); var_dump(headers_sent()); header('X-B: 2'); echo 'late';",
        BOTH,
    ),
    Case("flush of nothing", "flush(); flush();", BOTH),
    Case(
        "flush with a buffer",
        "ob_start(); echo 'a'; flush(); header('X-A: 1'); echo 'b'; ob_flush(); flush(); echo 'c';",
        BOTH,
    ),
    Case("implicit flush", "ob_implicit_flush(); echo 'a'; var_dump(headers_sent()); echo 'b';", BOTH),
    Case(
        "the setting implicit_flush",
        "echo 'a'; var_dump(headers_sent()); header('X-A: 1');",
        BOTH,
        ini="implicit_flush = 1\noutput_buffering = 0",
    ),
    Case(
        "no buffering",
        "echo 'a'; var_dump(headers_sent($file, $line), $line); header('X-A: 1');",
        BOTH,
        ini="output_buffering = 0",
    ),
    Case(
        "buffering",
        "echo 'a'; header('X-A: 1'); var_dump(ob_get_level(), headers_sent());" + STATES,
        BOTH,
        ini="output_buffering = 4096",
    ),
    Case(
        "buffering of everything",
        "echo str_repeat('x', 9000); header('X-A: 1');" + STATES,
        BOTH,
        ini="output_buffering = on",
    ),
    Case(
        "a buffer that is too small",
        "echo str_repeat('x', 90); header('X-A: 1'); echo 'y';",
        BOTH,
        ini="output_buffering = 64",
    ),
    Case(
        "nested buffers",
        """
        ob_start(fn($text, $phase) => "<1:$phase>$text</1>");
        echo 'a';
        ob_start(fn($text, $phase) => "<2:$phase>$text</2>");
        echo 'b';
        ob_start(fn($text, $phase) => strtoupper($text), 4);
        echo 'cd', 'efgh', 'i';
        ob_flush();
        echo ob_get_length(), ob_get_level();
        ob_end_clean();
        echo 'j';
        flush();
    """
        + STATES,
        BOTH,
    ),
    Case("a callback that drops everything", "ob_start(fn() => ''); echo 'a';", BOTH),
    Case("a callback that fails", "ob_start(fn($text) => false); echo 'a'; ob_end_flush(); echo 'b';", BOTH),
    Case("a callback that prints", "ob_start(function ($text) { echo 'x'; return \"<$text>\"; }); echo 'a';"),
    Case(
        "a callback that sets a header",
        "ob_start(function ($t) { header('X-Late: 1'); http_response_code(202); return $t; }); echo 'a';",
        BOTH,
    ),
    Case(
        "a callback that throws", "ob_start(function () { throw new Exception('in a callback'); }); echo 'a';"
    ),
    Case(
        "a callback that exits", "ob_start(function ($t) { exit('x'); }); echo 'a'; ob_end_flush(); echo 'b';"
    ),
    Case(
        "a callback that starts a buffer",
        "ob_start(function ($t) { ob_start(); return $t; }); echo 'a'; ob_end_flush();",
    ),
    Case("a callback that does not exist", "var_dump(ob_start('no_such_function')); echo 'a';" + STATES),
    Case(
        "a buffer that cannot be removed",
        "ob_start(null, 0, 0); echo 'a'; var_dump(ob_end_clean(), ob_clean(), ob_get_flush());",
    ),
    Case(
        "what buffers hold",
        "ob_start(); echo 'abc'; $a = [ob_get_contents(), ob_get_length(), ob_get_clean(), ob_get_level()]; print_r($a);",
    ),
    Case(
        "buffers in a shutdown function",
        "ob_start(); echo 'a'; register_shutdown_function(function () { echo ob_get_level(), ob_get_contents(); });",
    ),
    Case("output_handler", "echo 'some text';" + STATES, PACKED, ini="output_handler = ob_gzhandler"),
    Case("output_handler of the own kind", "echo 'some text';", ini="output_handler = strtoupper"),
    Case("ob_gzhandler", "ob_start('ob_gzhandler'); echo str_repeat('zip', 1000);", PACKED),
    Case(
        "zlib.output_compression",
        "echo str_repeat('zip', 1000); print_r(ob_list_handlers());",
        PACKED,
        ini="zlib.output_compression = on",
    ),
    Case(
        "zlib.output_compression in small pieces",
        "for ($i = 0; $i < 3000; $i++) { echo $i; }",
        PACKED,
        ini="zlib.output_compression = 512",
    ),
    Case(
        "compression and a flush",
        "echo 'a'; ob_flush(); flush(); echo str_repeat('b', 100);",
        PACKED,
        ini="zlib.output_compression = on",
    ),
    Case(
        "compression that is turned on late",
        "ini_set('zlib.output_compression', '1'); echo str_repeat('b', 100);",
        PACKED,
    ),
    Case(
        "compression and a length",
        "header('Content-Length: 5'); echo 'abcde';",
        PACKED,
        ini="zlib.output_compression = on",
    ),
    Case(
        "a conversion",
        "header('Content-Type: text/html'); echo 'äöü';",
        ini="output_handler = mb_output_handler\nmbstring.http_output = ISO-8859-1",
    ),
    Case(
        "rewritten links",
        "output_add_rewrite_var('k', 'v'); echo '<a href=\"x.php\">x</a><form action=\"y.php\"></form>';",
    ),
    Case("tidy ends", "echo 'a'; exit; echo 'b';", BOTH),
    Case(
        "output in a destructor",
        "class D { function __destruct() { echo 'destroyed'; header('X-A: 1'); } } $d = new D; echo 'a';",
    ),
    Case(
        "shutdown functions",
        """
        register_shutdown_function(function (...$given) { echo 'first', ...$given; register_shutdown_function(fn() => print('third')); }, 1, 2);
        register_shutdown_function(function () { echo 'second'; header('X-Late: 1'); http_response_code(418); });
        echo 'a';
    """,
        BOTH,
    ),
    Case(
        "a shutdown function that exits",
        "register_shutdown_function(fn() => print('not reached')); register_shutdown_function(function () { exit('x'); }); register_shutdown_function(fn() => print('y'));",
    ),
    Case(
        "a shutdown function after exit",
        "register_shutdown_function(fn() => print(' and after')); exit('out');",
    ),
    Case("highlighting", "highlight_string('<?php echo \"a\" . 1; // c ?> <b>'); highlight_file(__FILE__);"),
    Case("stripped source", "echo php_strip_whitespace(__FILE__); show_source(__FILE__);"),
    Case(
        "data behind the script",
        "<?php\necho stream_get_contents(fopen(__FILE__, 'r'), -1, __COMPILER_HALT_OFFSET__);\n__halt_compiler();the data",
    ),
    Case(
        "files before and after",
        "echo 'in between ';",
        BOTH,
        ini="auto_prepend_file = before.inc\nauto_append_file = after.inc\ninclude_path = .",
        files={"before.inc": "before <?php header('X-A: 1');", "after.inc": "<?php echo 'after';"},
    ),
    Case(
        "files after exit",
        "exit('out ');",
        ini="auto_append_file = after.inc\ninclude_path = .",
        files={"after.inc": "after"},
    ),
    Case("a file before that is not there", "echo 'not reached';", BOTH, ini="auto_prepend_file = none.inc"),
    Case("a file after that is not there", "echo 'reached';", BOTH, ini="auto_append_file = none.inc"),
    Case("output with a wrong length", "header('Content-Length: 3'); echo 'abcdef';", BOTH),
    Case("output with its length", "header('Content-Length: 6'); echo 'abcdef';", BOTH),
    Case(
        "a stop for HEAD",
        "echo 'a'; flush(); error_log('after the first output'); echo 'b'; error_log('the end');",
        BOTH,
    ),
    Case(
        "HEAD with much output",
        "for ($i = 0; $i < 9; $i++) { echo str_repeat('x', 10000); } error_log('the end');",
        BOTH,
    ),
    Case(
        "HEAD with buffers",
        "ob_start(); echo 'a'; header('X-A: 1'); ob_end_flush(); header('X-B: 1'); error_log('the end');",
        BOTH,
    ),
    Case(
        "a state of the connection",
        "echo 'a'; flush(); var_dump(connection_status(), connection_aborted(), ignore_user_abort(true), ignore_user_abort());",
    ),
    finishing(
        "finished before any output",
        "header('X-A: 1'); $r = fastcgi_finish_request(); file_put_contents($file, json_encode([$r, headers_sent()]));",
    ),
    finishing(
        "finished after output",
        "echo 'a'; $r = fastcgi_finish_request(); echo 'never seen'; file_put_contents($file, json_encode([$r, headers_sent(), connection_status()]));",
    ),
    finishing(
        "finished twice",
        "echo 'a'; $r = [fastcgi_finish_request(), fastcgi_finish_request()]; file_put_contents($file, json_encode($r));",
    ),
    finishing(
        "finished with buffers",
        "ob_start(fn($t) => \"<$t>\"); echo 'a'; ob_start(); echo 'b'; fastcgi_finish_request(); file_put_contents($file, json_encode(ob_get_level()));",
    ),
    finishing(
        "finished after a flush",
        "echo 'a'; flush(); fastcgi_finish_request(); flush(); echo 'b'; file_put_contents($file, json_encode(connection_aborted()));",
    ),
    finishing(
        "headers after the finish",
        "fastcgi_finish_request(); header('X-A: 1'); http_response_code(404); setcookie('a', 'b'); file_put_contents($file, json_encode([headers_list(), http_response_code(), headers_sent()]));",
    ),
    finishing(
        "an error after the finish",
        "echo 'a'; fastcgi_finish_request(); file_put_contents($file, 'still there'); no_such_function();",
    ),
    finishing(
        "a warning after the finish",
        "echo 'a'; fastcgi_finish_request(); echo $undefined; file_put_contents($file, json_encode(error_get_last()['message']));",
    ),
    finishing(
        "a shutdown function after the finish",
        "register_shutdown_function(function () use ($file) { echo 'x'; file_put_contents($file, 'shut down'); }); echo 'a'; fastcgi_finish_request();",
    ),
    finishing(
        "finished in a shutdown function",
        "register_shutdown_function(function () use ($file) { echo 'b'; file_put_contents($file, json_encode(fastcgi_finish_request())); echo 'c'; }); echo 'a';",
    ),
    finishing(
        "much output after the finish",
        "echo 'a'; fastcgi_finish_request(); echo str_repeat('x', 500000); file_put_contents($file, json_encode(connection_status()));",
    ),
    finishing(
        "exit after the finish", "echo 'a'; fastcgi_finish_request(); file_put_contents($file, 'x'); exit(3);"
    ),
    finishing(
        "finished with a session",
        "session_id('finish'); session_start(); $_SESSION['n'] = 1; echo 'a'; fastcgi_finish_request(); $_SESSION['n'] = 2; session_write_close(); session_start(); file_put_contents($file, json_encode($_SESSION));",
    ),
    finishing(
        "finished with compression",
        "echo 'a'; $r = fastcgi_finish_request(); file_put_contents($file, json_encode($r));",
        ini="zlib.output_compression = on",
    ),
]
