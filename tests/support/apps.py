"""Real applications from Debian's packages, their files unmodified, with data of their own."""

import hashlib
import shutil
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

from tests.support.http import HOST, Browser
from tests.support.mariadb import MariaDB
from tests.support.workspace import give, make_directory

USER = "keeper"
PASSWORD = "four elephants and a gate"


def picture(width: int = 640, height: int = 400) -> bytes:
    """A PNG that is large enough for an application to make thumbnails of it."""
    rows = b"".join(
        b"\0" + b"".join(bytes((x % 256, y % 256, (x ^ y) % 256)) for x in range(width))
        for y in range(height)
    )

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def _copy(source: str, root: Path, *, but: Sequence[str]) -> None:
    # With ignore_dangling_symlinks, links to what is beside another package's files would be left out:
    # copytree looks for their targets from where the process is.
    shutil.copytree(source, root, symlinks=False, ignore=shutil.ignore_patterns(*but))


WORDPRESS_CONFIG = """\
<?php
define('DB_NAME', '{database}');
define('DB_USER', '{database}');
define('DB_PASSWORD', '{database}');
define('DB_HOST', 'localhost:{socket}');
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $name) {{
    define("{{$name}}_KEY", "the key of $name");
    define("{{$name}}_SALT", "the salt of $name");
}}
define('DISABLE_WP_CRON', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
define('WP_HTTP_BLOCK_EXTERNAL', true);
$table_prefix = 'wp_';
defined('ABSPATH') || define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
"""


def wordpress(root: Path, database: MariaDB) -> Path:
    """WordPress with an empty database, ready for its own web installer."""
    name = f"wp_{root.parent.name}".replace("-", "_")
    database.create(name)
    _copy("/usr/share/wordpress", root, but=["wp-config.php", ".htaccess"])
    (root / "wp-config.php").write_text(WORDPRESS_CONFIG.format(database=name, socket=database.socket))
    (root / "wp-content/uploads").mkdir()
    give(root / "wp-content")
    return root


def install_wordpress(browser: Browser) -> None:
    """Fill in the form of the web installer."""
    page = browser.get(f"http://{HOST}/wp-admin/install.php")
    form = page.form(having="weblog_title")
    done = browser.submit(
        page,
        form,
        weblog_title="Kraal",
        user_name=USER,
        admin_password=PASSWORD,
        admin_password2=PASSWORD,
        pw_weak="on",
        admin_email="keeper@kraal.test",
    )
    assert "WordPress has been installed" in done.text, done.text


DOKUWIKI_CONFIG = """\
<?php
$conf['title'] = 'Kraal';
$conf['lang'] = 'en';
$conf['savedir'] = '{data}';
$conf['useacl'] = 1;
$conf['superuser'] = '@admin';
$conf['updatecheck'] = 0;
$conf['send404'] = 1;
$conf['securecookie'] = 0;
"""

DOKUWIKI_FOLDERS = (
    "pages",
    "attic",
    "media",
    "media_attic",
    "media_meta",
    "meta",
    "cache",
    "index",
    "locks",
    "tmp",
    "log",
)


def dokuwiki(root: Path) -> Path:
    """DokuWiki with a start page, one administrator and readers who may not write."""
    conf, data = root / "conf", root.parent / "dokuwiki"
    _copy("/usr/share/dokuwiki", root, but=["install.php", ".htaccess"])
    shutil.copytree(
        "/etc/dokuwiki",
        conf,
        ignore=shutil.ignore_patterns(
            "*.auth.php", "local.php", "*.dist", "htaccess", ".htaccess", "apache.conf"
        ),
    )
    # Debian's preload.php points to /etc/dokuwiki; this file is where DokuWiki wants such changes.
    (root / "inc/preload.php").write_text(f"<?php\ndefine('DOKU_CONF', '{conf}/');\n")
    (conf / "local.php").write_text(DOKUWIKI_CONFIG.format(data=data))
    (conf / "acl.auth.php").write_text("*\t@ALL\t1\n*\t@user\t8\n")
    # DokuWiki tells the method by the look of the hash: 32 digits are MD5.
    secret = hashlib.md5(PASSWORD.encode()).hexdigest()
    (conf / "users.auth.php").write_text(f"{USER}:{secret}:The Keeper:keeper@kraal.test:admin,user\n")
    for folder in DOKUWIKI_FOLDERS:
        make_directory(data / folder)
    (data / "pages/start.txt").write_text(
        "====== Welcome ======\n\nThis is **the enclosure**.\n\n  * one\n  * two\n"
    )
    give(data)
    give(conf)
    return root


def symfony(project: Path) -> Path:
    """A Symfony application of a few routes; gives its document root."""
    root = project / "public"
    root.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("symfony.php"), root / "index.php")
    (project / "gate.bin").write_bytes(bytes(range(250)) * 800)
    make_directory(project / "var")
    return root
