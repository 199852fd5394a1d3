"""What an attacker who runs any code as a pool's user tries.  Scripts; FFI calls the system directly."""

ANY_CODE = {"php_admin_value[ffi.enable]": "1"}

LIBC = """
    $c = FFI::cdef('
        int fork(void); int pause(void); int kill(int, int); int shutdown(int, int);
        long ptrace(long, int, void *, void *); long syscall(long, ...);
        long send(int, const char *, size_t, int); void *memset(void *, int, size_t);
    ');
"""

# What is left of the list is what was done.
READ = (
    LIBC
    + """
    $pid = (int) $_GET['pid'];
    $done = [];
    foreach (['mem', 'maps', 'environ', 'auxv', 'stack'] as $file) {
        if (@fopen("/proc/$pid/$file", 'r')) $done[] = $file;
    }
    foreach (['fd', 'map_files', 'task/' . $pid . '/fd'] as $folder) {
        if (@scandir("/proc/$pid/$folder")) $done[] = $folder;
    }
    foreach (['cwd', 'root', 'exe', 'fd/0', 'fd/3'] as $link) {
        if (@readlink("/proc/$pid/$link")) $done[] = $link;
    }
    [$attach, $seize] = [16, 0x4206];
    foreach ([$attach, $seize] as $request) {
        if ($c->ptrace($request, $pid, null, null) === 0) $done[] = "ptrace $request";
    }
    [$process_vm_readv, $pidfd_open, $pidfd_getfd] = [310, 434, 438];
    $buffer = FFI::new('char[8]');
    $here = FFI::new('struct { void *base; size_t size; }');
    $here->base = FFI::addr($buffer);
    $here->size = 8;
    $read = $c->syscall($process_vm_readv, $pid, FFI::addr($here), 1, FFI::addr($here), 1, 0);
    if ($read > 0) $done[] = 'process_vm_readv';
    $pidfd = $c->syscall($pidfd_open, $pid, 0);
    for ($fd = 0; $fd < 16; $fd++) {
        if ($c->syscall($pidfd_getfd, $pidfd, $fd, 0) >= 0) $done[] = "pidfd_getfd $fd";
    }
    echo json_encode($done);
"""
)

STOP = (
    LIBC
    + """
    $pid = (int) $_GET['pid'];
    $done = [];
    foreach ([1, 3, 9, 10, 12, 15, 19, 40] as $signal) {
        if (posix_kill($pid, $signal)) $done[] = "signal $signal";
    }
    [$setpriority, $prlimit, $sched_setaffinity, $pidfd_open, $pidfd_send_signal] = [141, 302, 203, 434, 424];
    $limit = FFI::new('uint64_t[2]');
    if ($c->syscall($setpriority, 0, $pid, 19) === 0) $done[] = 'setpriority';
    if ($c->syscall($prlimit, $pid, 7, FFI::addr($limit), null) === 0) $done[] = 'prlimit';
    if ($c->syscall($sched_setaffinity, $pid, 16, FFI::addr($limit)) === 0) $done[] = 'sched_setaffinity';
    $pidfd = $c->syscall($pidfd_open, $pid, 0);
    if ($c->syscall($pidfd_send_signal, $pidfd, 9, null, 0) === 0) $done[] = 'pidfd_send_signal';
    echo json_encode($done);
""".replace("SIGSTOP", "19")
    .replace("SIGQUIT", "3")
    .replace("SIGTERM", "15")
    .replace("SIGKILL", "9")
).replace("SIGUSR2", "12")

FILES = """
    $done = [];
    foreach ($_GET['files'] as $file) {
        foreach (['r', 'a'] as $mode) {
            if (@fopen($file, $mode)) $done[] = "$mode $file";
        }
        if (@unlink($file)) $done[] = "unlink $file";
        if (@rename($file, "$file.gone")) $done[] = "rename $file";
        if (@symlink('/etc/passwd', "$file.link")) $done[] = "symlink beside $file";
    }
    echo json_encode($done);
"""

CONNECT = """
    $done = [];
    foreach ($_GET['sockets'] as $socket) {
        if (@stream_socket_client("unix://$socket")) $done[] = $socket;
    }
    echo json_encode($done);
"""

SEND = """
    $socket = stream_socket_client($_GET['to']);
    fwrite($socket, hex2bin($_GET['packet']));
    echo stream_get_contents($socket);
"""

INHERITED = """
    passthru('ls -l /proc/self/fd; grep -E "Cap(Inh|Prm|Eff|Amb)" /proc/self/status');
"""

# Whatever the pool shares: with its manager, and with workers of other generations.
VANDALISM = {
    "ones in shared memory": LIBC
    + """
    foreach (file('/proc/self/maps') as $line) {
        if (preg_match('~^(\\w+)-(\\w+) rw-s .*memfd:kraal~', $line, $found)) {
            [$from, $to] = [hexdec($found[1]), hexdec($found[2])];
            $c->memset(FFI::cast('void *', $from), 0xff, $to - $from);
        }
    }
    """,
    "zeros in shared memory": LIBC
    + """
    foreach (file('/proc/self/maps') as $line) {
        if (preg_match('~^(\\w+)-(\\w+) rw-s .*memfd:kraal~', $line, $found)) {
            [$from, $to] = [hexdec($found[1]), hexdec($found[2])];
            $c->memset(FFI::cast('void *', $from), 0, $to - $from);
        }
    }
    """,
    "lies into all descriptors": LIBC
    + """
    $lies = ["", "\\0", "\\x05NOTICE: [pool victim] lie\\n[pool victim] lie", str_repeat("\\xff", 60000)];
    for ($fd = 3; $fd < 64; $fd++) {
        foreach ($lies as $lie) {
            for ($i = 0; $i < 50; $i++) $c->send($fd, $lie, strlen($lie), 0x4040);
        }
    }
    """,
    "all sockets shut down": LIBC
    + """
    for ($fd = 3; $fd < 64; $fd++) {
        $c->send($fd, 'x', 1, 0x4040);
        $c->shutdown($fd, 2);
    }
    """,
    "its manager killed": "posix_kill(posix_getppid(), 9);",
    "its manager stopped": "posix_kill(posix_getppid(), 19);",
}

LEAVE_MANY = (
    LIBC
    + """
    for ($i = 0; $i < 150; $i++) {
        if ($c->fork() === 0) while (true) $c->pause();
    }
    posix_kill(posix_getppid(), 9);
"""
)
