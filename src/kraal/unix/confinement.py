"""AppArmor hats."""

_CURRENT = "/proc/self/attr/current"
_CHECK = 'Please check if "/proc/*/attr/current" is read and writeable'


def enter_hat(hat: str) -> None:
    """Change to the AppArmor profile PROFILE//HAT below the present one.

    Raises OSError with a sentence for the log.
    """
    try:
        with open(_CURRENT, "rb") as file:
            profile = _without_mode(file.read().rstrip(b"\0\n").decode("utf-8", "backslashreplace"))
    except OSError as error:
        text = f"failed to query apparmor confinement. {_CHECK}.: {error.strerror} ({error.errno})"
        raise OSError(error.errno, text) from None
    try:
        with open(_CURRENT, "wb", buffering=0) as file:
            file.write(f"changeprofile {profile}//{hat}".encode())
    except OSError as error:
        text = (
            f"failed to change to new confinement ({profile}//{hat}). {_CHECK} "
            f'and "change_profile -> {profile}//*" is allowed.: {error.strerror} ({error.errno})'
        )
        raise OSError(error.errno, text) from None


def _without_mode(label: str) -> str:
    """The name of a profile, of which the kernel says `NAME (enforce)`; or `unconfined`."""
    return label.rpartition(" (")[0] if label.endswith(")") else label
