"""Where PHP keeps its files, for the version that the native library was built for."""

from kraal._native._bridge import LIBPHP, PHP_VERSION

_ETC = f"/etc/php/{PHP_VERSION}"

# php-fpm's own places on Debian, so that a host's files are found where they are.
DEFAULT_CONFIG = f"{_ETC}/fpm/php-fpm.conf"
# php.ini and conf.d: php-fpm's when it is (or was) installed, else those of the embed library.
INI_FOLDERS = (f"{_ETC}/fpm", f"{_ETC}/embed")

__all__ = ["DEFAULT_CONFIG", "INI_FOLDERS", "LIBPHP", "PHP_VERSION"]
