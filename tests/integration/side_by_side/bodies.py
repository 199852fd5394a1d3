"""Bodies of requests: forms, uploads, and what is read from php://input."""

from tests.integration.side_by_side.case import FORM, Ask, Case

SHOW = """
array_walk_recursive($_FILES, function (&$value, $name) {
    if (is_string($value) && str_starts_with($value, ini_get('upload_tmp_dir'))) {
        $value = [is_uploaded_file($value), filesize($value), md5_file($value), decoct(fileperms($value)),
            preg_replace('/^php.{6}$/', 'phpXXXXXX', basename($value))];
    }
});
$input = file_get_contents('php://input');
print_r(['post' => $_POST, 'files' => $_FILES, 'size' => strlen($input), 'sum' => md5($input),
    'error' => error_get_last(), 'type' => $_SERVER['CONTENT_TYPE'] ?? null]);
"""

BOUNDARY = "gate"
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def field(name: str, content: bytes | str, *, file: str | None = None, type: str | None = None) -> bytes:
    """A part of a form, without what ends it."""
    more = "" if file is None else f'; filename="{file}"'
    kind = "" if type is None else f"Content-Type: {type}\r\n"
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n{kind}\r\n'
    return head.encode() + (content.encode() if isinstance(content, str) else content) + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def upload(name: str, *parts: bytes, ini: str = "", code: str = SHOW) -> Case:
    return Case(name, code, (Ask(method="POST", body=form(*parts), headers=MULTIPART),), ini=ini)


def send(name: str, body: bytes, headers: dict[str, str] = FORM, *, ini: str = "", code: str = SHOW) -> Case:
    return Case(name, code, (Ask(method="POST", body=body, headers=headers),), ini=ini)


PICTURE = bytes(range(256)) * 40
ONE = field("one", PICTURE, file="a picture.png", type="image/png")

READ_TWICE = """
$first = file_get_contents('php://input');
$second = file_get_contents('php://input');
$stream = fopen('php://input', 'rb');
$third = fread($stream, 5) . '|' . fread($stream, 5) . '|' . ftell($stream) . '|';
fseek($stream, 2);
$third .= fgets($stream, 6) . '|' . var_export(feof($stream), true) . '|' . stream_get_contents($stream);
print_r([$first, $second, $third, stream_get_meta_data($stream), fstat($stream)['size'] ?? null, $_POST]);
var_dump(fwrite($stream, 'x'), file_put_contents('php://input', 'x'));
"""

STREAMS = """
foreach (['STDIN', 'STDOUT', 'STDERR'] as $name) {
    var_dump(defined($name));
}
var_dump(file_get_contents('php://stdin'));
var_dump(file_put_contents('php://output', "to the output\\n"));
var_dump(file_put_contents('php://stdout', "to standard output\\n"), file_put_contents('php://stderr', "to error\\n"));
var_dump(file_put_contents('php://memory', 'x'), file_get_contents('php://input'));
var_dump(@file_get_contents('php://fd/0') === '');
"""

UNREAD = "echo 'the body is not read';"

CASES = [
    send("a form", b"a=1&b=two+words&c=%C3%BC&d"),
    send("nested arrays in a form", b"a[]=1&a[]=2&b[c][d][]=3&b[c][d][]=4&e[f]g=5&h[i=6&j.k=7&l%5Bm%5D=8"),
    send("a form of more variables than allowed", b"&".join(b"n%d=1" % n for n in range(1010))),
    send("a form that is nested too deeply", b"a" + b"[b]" * 70 + b"=1&c=2"),
    send("a long form", b"&".join(b"name%d=%s" % (n, b"x" * 300) for n in range(300))),
    send("a form with a long value", b"a=" + b"%41" * 50_000),
    send("a form with broken encodings", b"a=%&b=%4&c=%zz&d=%00&e=+&=f&&&g=="),
    send("a form with newlines", b"a=1\r\nb=2\n&c=3\r\n"),
    send("a form that is too large", b"a=" + b"x" * 3000, ini="post_max_size = 2K"),
    send("a form of exactly the largest size", b"a=" + b"x" * 2046, ini="post_max_size = 2K"),
    send("a form of any size", b"a=" + b"x" * 3000, ini="post_max_size = 0"),
    send("a form that is left alone", b"a=1", ini="enable_post_data_reading = off"),
    send("JSON", b'{"a": [1, 2]}', {"Content-Type": "application/json"}),
    send(
        "JSON that is too large",
        b"[" + b"1," * 3000 + b"1]",
        {"Content-Type": "application/json"},
        ini="post_max_size=2K",
    ),
    send("a large body", PICTURE * 30, {"Content-Type": "application/octet-stream"}),
    send("a body of zeros", b"\0" * 5000, {"Content-Type": "application/octet-stream"}),
    send("plain text", b"a=1", {"Content-Type": "text/plain"}),
    send("a compressed form", b"\x1f\x8bnot really", {**FORM, "Content-Encoding": "gzip"}),
    send("a body that is read twice", b"0123456789abcdef", {"Content-Type": "text/plain"}, code=READ_TWICE),
    send("a form that is read twice", b"a=0123456789abcdef", code=READ_TWICE),
    send(
        "a form that is left alone and read twice",
        b"a=0123456789",
        ini="enable_post_data_reading=0",
        code=READ_TWICE,
    ),
    send("a body that is not read", PICTURE * 20, {"Content-Type": "text/plain"}, code=UNREAD),
    send("a form that is not looked at", b"a=1", code=UNREAD),
    send(
        "a body that is read in a shutdown function",
        b"late",
        {"Content-Type": "text/plain"},
        code="register_shutdown_function(fn() => readfile('php://input')); echo 'early ';",
    ),
    send(
        "a body that is read after the end",
        b"late",
        {"Content-Type": "text/plain"},
        code="fastcgi_finish_request(); error_log(file_get_contents('php://input'));",
    ),
    send(
        "a body that is read in part",
        PICTURE * 20,
        {"Content-Type": "text/plain"},
        code="echo bin2hex(fread(fopen('php://input', 'r'), 10));",
    ),
    send("streams", b"a body", {"Content-Type": "text/plain"}, code=STREAMS),
    Case("streams without a body", STREAMS),
    upload(
        "a field of multipart", field("a", "1"), field("b[]", "2"), field("b[]", "3"), field("c[d][e]", "ü")
    ),
    upload("an uploaded file", ONE),
    upload("two uploaded files", ONE, field("two", "text", file="b.txt", type="text/plain"), field("a", "1")),
    upload("files in an array", field("a[]", "1", file="1.txt"), field("a[]", "22", file="2.txt")),
    upload(
        "files in a nested array", field("a[b][c]", "1", file="1.txt"), field("a[b][]", "2", file="2.txt")
    ),
    upload("files of one name", field("a", "1", file="1.txt"), field("a", "22", file="2.txt")),
    upload("no file chosen", field("a", "", file="", type="application/octet-stream")),
    upload("an empty file", field("a", "", file="empty.txt", type="text/plain")),
    upload("a file without a type", field("a", "x", file="x.txt")),
    upload("a file with a path", field("a", "x", file="C:\\dir\\x.txt"), field("b", "y", file="../../y.txt")),
    upload(
        "a folder of files",
        field("a[]", "x", file="folder/x.txt"),
        field("a[]", "y", file="folder/sub/y.txt"),
    ),
    upload("a file with a name in UTF-8", field("a", "x", file="ü€.txt"), field("ü", "1")),
    upload(
        "a file with quotes in its name", field("a", "x", file='a\\"b.txt'), field("b", "x", file="a%22b.txt")
    ),
    upload("a file that is too large", ONE, field("a", "1"), ini="upload_max_filesize = 2K"),
    upload("a file larger than the form allows", field("MAX_FILE_SIZE", "100"), ONE),
    upload(
        "more files than allowed",
        *(field(f"f{n}", "x", file="x") for n in range(4)),
        ini="max_file_uploads = 2",
    ),
    upload(
        "more parts than allowed",
        *(field(f"f{n}", "x") for n in range(8)),
        ini="max_multipart_body_parts = 5",
    ),
    upload("more fields than allowed", *(field(f"f{n}", "x") for n in range(8)), ini="max_input_vars = 5"),
    upload("an upload that is too large", ONE, ini="post_max_size = 2K"),
    upload("an upload that is left alone", ONE, ini="enable_post_data_reading = off"),
    upload("an upload of megabytes", field("a", PICTURE * 150, file="large", type="x/y")),
    upload("a field and a file of one name", field("a", "1"), field("a", "x", file="x.txt")),
    upload(
        "a field without a name", b"--gate\r\nContent-Disposition: form-data\r\n\r\nx\r\n", field("a", "1")
    ),
    upload("an odd disposition", b"--gate\r\ncontent-disposition: FORM-DATA; name=a; x=y\r\n\r\nx\r\n"),
    upload("a part without a header", b"--gate\r\n\r\nx\r\n", field("a", "1")),
    upload("text before the first part", b"preamble\r\n", field("a", "1")),
    upload(
        "an uploaded file that is moved",
        ONE,
        code="""
        $to = sys_get_temp_dir() . '/kraal-' . getmypid();
        var_dump(move_uploaded_file($_FILES['one']['tmp_name'], $to), filesize($to), md5_file($to), unlink($to));
        var_dump(@move_uploaded_file(__FILE__, $to), is_uploaded_file(__FILE__), file_exists($_FILES['one']['tmp_name']));
    """,
    ),
    upload(
        "an upload with its progress in a session",
        field("PHP_SESSION_UPLOAD_PROGRESS", "x"),
        ONE,
        code="session_id('progress'); session_start(); print_r($_SESSION); print_r($_POST);",
    ),
    send("no boundary", form(ONE), {"Content-Type": "multipart/form-data"}),
    send("an empty boundary", form(ONE), {"Content-Type": "multipart/form-data; boundary="}),
    send("another boundary", form(ONE), {"Content-Type": "multipart/form-data; boundary=fence"}),
    send("a quoted boundary", form(ONE), {"Content-Type": 'multipart/form-data; boundary="gate"; charset=x'}),
    send("a form that is cut off", form(ONE)[:5000], MULTIPART),
    send("a form that is cut off in a header", form(ONE)[:40], MULTIPART),
    send("no part at all", form(), MULTIPART),
    send("a multipart form of nothing", b"", MULTIPART),
    send("garbage as multipart", PICTURE, MULTIPART),
    send("newlines without returns", form(field("a", "1")).replace(b"\r\n", b"\n"), MULTIPART),
    send("mixed parts", form(field("a", "1")), {"Content-Type": "multipart/mixed; boundary=gate"}),
]
