"""AppArmor hats."""

from pathlib import Path

_CURRENT = Path("/proc/self/attr/current")
_CHECK = 'Please check if "/proc/*/attr/current" is read and writeable'


def enter_hat(hat: str) -> None:
    """Change to the AppArmor profile PROFILE//HAT below the present one.

    Raises OSError with a sentence for the log.
    """
    try:
        profile = _without_mode(_CURRENT.read_bytes().rstrip(b"\0\n").decode("utf-8", "backslashreplace"))
    except OSError as error:
        text = f"failed to query apparmor confinement. {_CHECK}.: {error.strerror} ({error.errno})"
        raise OSError(error.errno, text) from None
    try:
        _CURRENT.write_bytes(f"changeprofile {profile}//{hat}".encode())
    except OSError as error:
        text = (
            f"failed to change to new confinement ({profile}//{hat}). {_CHECK} "
            f'and "change_profile -> {profile}//*" is allowed.: {error.strerror} ({error.errno})'
        )
        raise OSError(error.errno, text) from None


def _without_mode(label: str) -> str:
    """The name of a profile, of which the kernel says `NAME (enforce)`; or `unconfined`."""
    return label.rpartition(" (")[0] if label.endswith(")") else label
