"""Where things stand in the memory of a worker: struct kraal_layout, as Python has it.  Pure.

The numbers come from the native library; native/bridge.h says what each of them is.
"""

from kraal.fields import Frozen


class Layout(Frozen, kw_only=True):
    """See struct kraal_layout."""

    current_frame: int
    exception_op: int
    exception_op_end: int
    before_exception: int
    generator_class: int
    script: int
    request: int
    frame_size: int
    frame_opline: int
    frame_func: int
    frame_this: int
    frame_info: int
    frame_previous: int
    kind_mask: int
    kind_top: int
    kind_nested: int
    flag_top: int
    flag_generator: int
    type_mask: int
    type_object: int
    function_size: int
    function_type: int
    function_name: int
    function_class: int
    internal_function: int
    function_file: int
    function_opcodes: int
    function_last: int
    function_line_start: int
    function_line_end: int
    opcode_size: int
    opcode_line: int
    string_length: int
    string_text: int
    class_name: int
    object_class: int
    generator_frame: int
    generator_parent: int
    request_connection: int
    connection_pairs: int
    connection_pair_count: int
    pair_size: int
    pair_name: int
    pair_value: int
    pair_name_size: int
    pair_value_size: int
