"""Memory files: shared, without a name, of a size that nobody can change."""

import fcntl
import mmap
import os


def create(name: str, size: int) -> int:
    """A zero-filled memory file.  Sealed: a process that truncated it could kill the others by SIGBUS."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return fd


def create_filled(name: str, content: bytes) -> int:
    """A memory file to read from its start, for a program that is about to be executed."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def map_shared(fd: int) -> mmap.mmap:
    """The whole file as memory."""
    return mmap.mmap(fd, os.fstat(fd).st_size)
