"""What a site meets beside ordinary requests: uploads, errors, clients that leave, crashes."""

import hashlib
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import params

from kraal.errors import RemoteProtocolError
from kraal.fastcgi import client

SCRIPTS = {
    "upload.php": "<?php echo md5_file($_FILES['file']['tmp_name']);",
    "error.php": "<?php ini_set('display_errors', '0'); throw new Exception('on purpose');",
    "large.php": "<?php for ($i = 0; $i < 200; $i++) { echo str_repeat('x', 10000); flush(); }",
    "crash.php": "<?php function sink() { array_map('sink', [1]); } sink();",  # the stack ends first
}
# What has an answer in the end.
ANSWERED = ("upload", "error", "leave", "visit")
_PAUSE = 0.02  # seconds between two requests
_UPLOAD = b"elephant" * 40_000
_FORM = "kraal-soak"


@dataclass
class Visits:
    """What a visitor has seen."""

    done: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)


class Visitor(threading.Thread):
    """Asks one pool for what ordinary clients would not."""

    def __init__(
        self, address: str, directory: Path, *, crashes: bool, application: tuple[str, str] | None
    ) -> None:
        super().__init__(daemon=True)
        self.visits = Visits()
        self._address = address
        self._directory = directory
        self._application = application
        self._kinds = [self.upload, self.error, self.leave]
        self._kinds += [self.crash] if crashes else []
        self._kinds += [self.visit] if application else []
        self._over = threading.Event()

    def run(self) -> None:
        turn = 0
        while not self._over.wait(_PAUSE):
            kind = self._kinds[turn % len(self._kinds)]
            turn += 1
            with suppress(OSError, RemoteProtocolError):
                if kind():
                    self.visits.done[kind.__name__] += 1
                    continue
            self.visits.wrong[kind.__name__] += 1

    def end(self) -> Visits:
        self._over.set()
        self.join()
        return self.visits

    def upload(self) -> bool:
        head = f'--{_FORM}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'.encode()
        body = head + _UPLOAD + f"\r\n--{_FORM}--\r\n".encode()
        more = {"CONTENT_TYPE": f"multipart/form-data; boundary={_FORM}", "CONTENT_LENGTH": str(len(body))}
        answer = client.request(self._address, self._params("upload.php", "POST") | more, body)
        return answer.body.decode() == hashlib.md5(_UPLOAD).hexdigest()

    def error(self) -> bool:
        return client.request(self._address, self._params("error.php")).status == 500

    def leave(self) -> bool:
        """In the middle of an answer."""
        with client.Client(self._address) as connection:
            for _ in connection.events(self._params("large.php")):
                return True
        return False

    def crash(self) -> bool:
        """Costs this request, and no other one."""
        try:
            client.request(self._address, self._params("crash.php"))
        except (OSError, RemoteProtocolError):
            return True
        return False

    def visit(self) -> bool:
        assert self._application
        script, uri = self._application
        answer = client.request(self._address, params.params(script, uri))
        return answer.status == 200 and len(answer.body) > 0

    def _params(self, script: str, method: str = "GET") -> dict[str, str]:
        return params.params(f"{self._directory}/{script}", method=method)
