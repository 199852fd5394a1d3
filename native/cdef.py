"""Turn bridge.h into the Python module `_bridge`, which cffi opens without a compiler.

usage: cdef.py BRIDGE_H OUTPUT_PY NAME=VALUE...
"""

import re
import sys
from pathlib import Path

from cffi import FFI


def declarations(header: str) -> str:
    """The part of the header that cffi understands: no comments, only numeric #defines."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    kept = [
        line
        for line in text.splitlines()
        if not line.startswith("#") or re.fullmatch(r"#define \w+ (0x)?[0-9a-f]+", line.rstrip())
    ]
    return "\n".join(kept)


def main(header: str, output: str, *constants: str) -> None:
    """Write the module, with the identity of the PHP it belongs to at its end."""
    ffi = FFI()
    ffi.set_source("_bridge", None)
    ffi.cdef(declarations(Path(header).read_text()))
    ffi.emit_python_code(output)
    with Path(output).open("a") as module:
        for constant in constants:
            name, _, value = constant.partition("=")
            module.write(f"\n{name} = {value!r}")
        module.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
