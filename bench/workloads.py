"""What is asked for in a comparison: scripts, and the requests for them."""

from dataclasses import dataclass
from pathlib import Path

import params


@dataclass(frozen=True)
class Workload:
    """A page of the site."""

    name: str
    code: str = ""  # of the script; none: the page of an application
    uri: str = ""
    root: Path | None = None  # of the application
    body: bytes = b""
    content_type: str = ""
    answer: bytes = b""  # the body; none: anything
    part: bytes = b""  # in the answer

    def script(self, directory: Path) -> Path:
        """The file that runs."""
        return self.root / "index.php" if self.root else directory / f"{self.name}.php"

    def path(self) -> str:
        return self.uri or f"/{self.name}.php"


INI = """\
post_max_size=64M
upload_max_filesize=64M
"""
_FORM = "kraal-boundary"


def _upload(size: int) -> bytes:
    head = f'--{_FORM}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    return head.encode() + bytes(range(256)) * (size // 256) + f"\r\n--{_FORM}--\r\n".encode()


def _json(size: int) -> bytes:
    item = b'{"id":12345,"name":"an elephant","tags":["grey","large"],"weight":5400.5}'
    return b"[" + b",".join([item] * (size // (len(item) + 1))) + b"]"


def _repeat(size: int) -> str:
    return f"<?php echo str_repeat('x', {size});"


_BURN = "<?php $n = hrtime(true) + 5000000; while (hrtime(true) < $n) { $x = md5('x'); } echo 'burnt';"
_WAIT = "<?php usleep(50000); echo 'waited';"
_DECODE = "<?php echo count(json_decode(file_get_contents('php://input'), true));"
_RECEIVE = "<?php echo $_FILES['file']['size'];"

BASIC = (
    Workload("hello", "<?php echo 'hello';", answer=b"hello"),
    Workload("10k", _repeat(10_000), answer=b"x" * 10_000),
    Workload("1m", _repeat(1_000_000), answer=b"x" * 1_000_000),
    Workload("100m", "<?php for ($i = 0; $i < 100; $i++) { echo str_repeat('x', 1000000); }"),
    Workload("post64k", _DECODE, body=_json(65_536), content_type="application/json", answer=b"885"),
    Workload(
        "upload20m",
        _RECEIVE,
        body=_upload(20 << 20),
        content_type=f"multipart/form-data; boundary={_FORM}",
        answer=b"%d" % (20 << 20),
    ),
    Workload("cpu5", _BURN, answer=b"burnt"),
    Workload("wait50", _WAIT, answer=b"waited"),
)


def fastcgi(workload: Workload, directory: Path, *, keep: bool) -> bytes:
    """A whole request on a FastCGI connection."""
    return params.encode(
        workload.script(directory),
        workload.path(),
        keep=keep,
        body=workload.body,
        content_type=workload.content_type,
    )


def http(workload: Workload, *, keep: bool) -> bytes:
    """A whole HTTP request."""
    lines = [
        f"{'POST' if workload.body else 'GET'} {workload.path()} HTTP/1.1",
        f"Host: {params.HOST}",
        "User-Agent: bench",
        "Accept: */*",
        f"Connection: {'keep-alive' if keep else 'close'}",
    ]
    if workload.body:
        lines += [f"Content-Type: {workload.content_type}", f"Content-Length: {len(workload.body)}"]
    return "\r\n".join((*lines, "", "")).encode() + workload.body
