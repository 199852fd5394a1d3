"""What PHP says of itself and of its surroundings, and settings of folders."""

from collections.abc import Mapping

from tests.integration.side_by_side.case import Ask, Case

# Without times and numbers that change, and without two lines that differ on purpose: the folder that libphp
# was built with, although kraal reads php-fpm's, and the first line of the module that serves.
PHPINFO = """
ob_start();
phpinfo(%s);
$lines = explode("\\n", strip_tags(preg_replace('~<(/tr|/td|/th|br /)~', " | $0", ob_get_clean())));
$changing = '/^ *(REQUEST_TIME|\\$_SERVER\\[.REQUEST_TIME|REMOTE_PORT|\\$_SERVER\\[.REMOTE_PORT'
    . '|Configuration File .php.ini. Path|(php-fpm|kraal)  . active|(Cache|Used|Free|Wasted|Cached|Interned) [A-Za-z ]+  )/';
foreach ($lines as $line) {
    if (trim($line) !== '' && !preg_match($changing, $line)) {
        echo trim($line), "\\n";
    }
}
"""

FACTS: Mapping[str, str] = {
    "names of the SAPI": "var_dump(php_sapi_name(), PHP_SAPI, PHP_OS, PHP_VERSION, php_uname('s'), PHP_DEBUG, PHP_ZTS);",
    "the binary": "var_dump(basename(PHP_BINARY) !== '', PHP_BINDIR, PHP_EXTENSION_DIR, PHP_PREFIX);",
    "where PHP was built to find its settings": "var_dump(PHP_CONFIG_FILE_PATH, PHP_CONFIG_FILE_SCAN_DIR);",
    "ini files": "var_dump(php_ini_loaded_file(), php_ini_scanned_files(), get_cfg_var('cfg_file_path'));",
    "processes": "var_dump(getmypid() === posix_getpid(), posix_getppid() > 1, posix_getuid(), posix_geteuid(), posix_getgid(), posix_getgroups(), posix_getlogin());",
    "the owner of the script": "var_dump(get_current_user(), getmyuid(), getmygid(), getmyinode() === fileinode(__FILE__), getlastmod());",
    "places": "var_dump(getcwd() === __DIR__, get_include_path(), sys_get_temp_dir(), __FILE__, ini_get('session.name'));",
    "included files": "include 'part.inc'; include_once './part.inc'; require_once __DIR__ . '/part.inc'; print_r(get_included_files());",
    "another folder": "chdir('/tmp'); var_dump(getcwd(), file_exists('part.inc'), @include 'part.inc');",
    "limits": "var_dump(ini_get('max_execution_time'), ini_get('max_input_time'), ini_get('memory_limit'), set_time_limit(5), ini_get('max_execution_time'));",
    "the connection": "var_dump(ignore_user_abort(), connection_status(), connection_aborted(), ignore_user_abort(true), ini_get('ignore_user_abort'));",
    "functions": "print_r(array_map('function_exists', ['fastcgi_finish_request', 'fpm_get_status', 'apache_request_headers', 'getallheaders', 'cli_set_process_title', 'dl', 'pcntl_fork', 'virtual', 'apache_get_version', 'nsapi_virtual']));",
    "functions of the SAPI": "foreach (['fastcgi_finish_request', 'fpm_get_status', 'apache_request_headers', 'getallheaders'] as $f) { echo new ReflectionFunction($f); }",
    "the module of the SAPI": "var_dump(extension_loaded('cgi-fcgi'), phpversion('cgi-fcgi')); print_r(ini_get_all('cgi-fcgi', false)); echo (new ReflectionExtension('cgi-fcgi'))->getName(); print_r(get_extension_funcs('cgi-fcgi'));",
    "a module in full": "$e = new ReflectionExtension('cgi-fcgi'); foreach ($e->getINIEntries() as $name => $value) { echo $name, '=', $name == 'fpm.config' ? '' : var_export($value, true), ini_get_all('cgi-fcgi')[$name]['access'], \"\\n\"; } ",
    "too many arguments": "foreach (['fastcgi_finish_request', 'fpm_get_status', 'apache_request_headers'] as $f) { try { $f(1); } catch (Error $e) { echo $e->getMessage(), \"\\n\"; } }",
    "the status of the pool": "$s = fpm_get_status(); print_r(array_keys($s)); print_r(array_keys($s['procs'][0])); var_dump($s['pool'], $s['process-manager'], array_map('gettype', $s), array_map('gettype', $s['procs'][0]));",
    "OPcache": "$s = opcache_get_status(false); var_dump($s['opcache_enabled'], array_keys($s), opcache_is_script_cached(__FILE__)); print_r(array_diff_key(opcache_get_configuration()['directives'], []));",
    "kinds of streams": "print_r([stream_get_wrappers(), stream_get_transports(), stream_get_filters()]);",
    "extensions": "$all = get_loaded_extensions(); sort($all); print_r($all); print_r(get_loaded_extensions(true));",
    "classes and interfaces": "$all = array_merge(get_declared_classes(), get_declared_interfaces()); sort($all); echo count($all), md5(implode($all));",
    "constants": "$all = get_defined_constants(); unset($all['PHP_BINARY'], $all['PHP_CONFIG_FILE_PATH'], $all['PHP_CONFIG_FILE_SCAN_DIR'], $all['NAN']); ksort($all); echo implode(\"\\n\", array_map(fn($n) => $n . '=' . var_export($all[$n], true), array_filter(array_keys($all), fn($n) => !str_starts_with($n, 'PCNTL') && !is_resource($all[$n]))));",
    "names of variables": "print_r(array_keys(get_defined_vars())); print_r(array_keys($GLOBALS));",
    "options of a command line": "var_dump(getopt('a:b'), isset($argc), isset($argv), ini_get('register_argc_argv'));",
    "settings that a script may change": "foreach (['cgi.nph', 'cgi.rfc2616_headers', 'cgi.fix_pathinfo', 'fastcgi.logging', 'expose_php', 'memory_limit', 'post_max_size', 'auto_prepend_file', 'short_open_tag'] as $n) { var_dump(ini_get($n), ini_set($n, '1'), ini_get($n)); }",
    "settings that are put back": "var_dump(ini_set('precision', '3'), 1 / 3, ini_restore('precision'), 1 / 3, ini_get('precision')); ini_set('precision', '5');",
    "the locale and the time zone": "var_dump(setlocale(LC_ALL, 0), date_default_timezone_get(), localeconv()['decimal_point']);",
    "descriptors of a program that is run": "echo shell_exec('ls -l /proc/self/fd | sed \"s/.* \\([0-9]* ->\\)/\\1/; s/\\[[0-9]*\\]//; /proc/d; /total/d\"');",
    "the environment of a program that is run": "$all = explode(\"\\n\", trim(shell_exec('env'))); sort($all); print_r($all);",
    "a program with pipes": "$p = proc_open(['cat'], [['pipe', 'r'], ['pipe', 'w']], $pipes); fwrite($pipes[0], 'through'); fclose($pipes[0]); echo stream_get_contents($pipes[1]), proc_close($p);",
    "a program that fails": "exec('exit 3', $lines, $code); var_dump($lines, $code, shell_exec('none-of-this 2>&1'));",
    "a program's signals": "echo shell_exec('grep -E \"^Sig(Blk|Ign)\" /proc/self/status');",
    "mail": "var_dump(mail('keeper@kraal.test', 'subject', 'body', ['X-A' => '1']));",
    "the umask": "printf('%o', umask()); $f = tempnam('', 'k'); printf(' %o', fileperms($f)); unlink($f);",
    "a random seed": "mt_srand(5); echo mt_rand(), ' ', rand(1, 9); srand(5); echo mt_rand();",
    "garbage": "var_dump(gc_enabled(), gc_status()['runs']); gc_collect_cycles();",
    "statics and globals of the last request": "function f() { static $n = 0; return ++$n; } var_dump(f(), f(), $GLOBALS['left'] ?? null); $left = 1; define('LEFT', 1); class Left { static $x = 1; } Left::$x++; echo Left::$x;",
    "tick functions": "declare(ticks=1) { register_tick_function(fn() => print('.')); $a = 1; $b = 2; }",
    "signals of time": "$t = hrtime(true); usleep(1000); var_dump(hrtime(true) - $t >= 1000000, sleep(0), time_nanosleep(0, 1));",
    "a socket of its own": "$s = stream_socket_server('tcp://127.0.0.1:0'); $c = stream_socket_client('tcp://' . stream_socket_get_name($s, false)); $a = stream_socket_accept($s); fwrite($c, \"x\\n\"); echo fgets($a);",
    "a function named by its case": "echo \\STRLEN('abc'), PHP_INT_SIZE, PHP_FLOAT_DIG, PHP_MAXPATHLEN, M_PI;",
    "credits": "phpcredits(CREDITS_SAPI); phpcredits(CREDITS_MODULES & CREDITS_GROUP);",
    "the logo": "echo zend_version(), PHP_EXTRA_VERSION, php_uname('m');",
    "closed tags": "echo 'a' ?>\n b <?php echo 'c' ?>\n\n",
    "short tags": "<? echo 'short' ?> <?= 'echo' ?> <?php echo 'long';",
    "strict types": "declare(strict_types=1); try { strlen(5); } catch (TypeError $e) { echo $e->getMessage(); }",
    "a namespace": "namespace Gate; const A = 1; function strlen($x) { return 'own'; } echo strlen('a'), \\strlen('a'), A, __NAMESPACE__;",
}

_INI = """
foreach (['precision', 'memory_limit', 'display_errors', 'post_max_size', 'user_agent', 'expose_php', 'include_path', 'date.timezone'] as $n) {
    echo $n, '=', var_export(ini_get($n), true), "\\n";
}
"""

_FOLDERS: dict[str, dict[str, str]] = {
    "a .user.ini": {".user.ini": "precision = 5\nuser_agent = 'of a folder'"},
    "a .user.ini with mistakes": {".user.ini": "precision = 5\nthis is not\n[section]\nuser_agent = x\n=\n"},
    "a .user.ini of what it may not set": {
        ".user.ini": "expose_php = off\nprecision = 6\ndisable_functions = strlen"
    },
    "a .user.ini with constants": {
        ".user.ini": "error_reporting = E_ALL & ~E_NOTICE\nuser_agent = ${PATH}\nprecision = PHP_INT_SIZE"
    },
    "an empty .user.ini": {".user.ini": ""},
    "a .user.ini below another": {
        ".user.ini": "precision = 5\nuser_agent = outer",
        "below/.user.ini": "precision = 6",
        "below/page.php": _INI,
    },
    "a .user.ini beside": {"beside/.user.ini": "precision = 6", "below/page.php": _INI},
}

CASES = [
    *(
        Case(
            name,
            code,
            (Ask(), Ask()),
            files={"part.inc": "<?php echo __LINE__, basename(__FILE__), __DIR__;"},
        )
        for name, code in FACTS.items()
    ),
    *(
        Case(
            name,
            _INI,
            (Ask(), Ask(), *([Ask("DIR/below/page.php"), Ask()] if "below/page.php" in files else [])),
            files=files,
        )
        for name, files in _FOLDERS.items()
    ),
    *(
        Case(f"phpinfo of {part}", PHPINFO % f"INFO_{part.upper()}")
        for part in ("general", "configuration", "modules", "environment", "variables", "credits", "license")
    ),
    Case("phpinfo as it is", "phpinfo(INFO_LICENSE);", (Ask(), Ask(method="HEAD"))),
]
