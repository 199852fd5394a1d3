#define _GNU_SOURCE
/* Where PHP keeps what is read of a worker's memory from outside.
 *
 * The reader is Python and knows no structure of PHP: it gets this table. */
#include "bridge.h"

#include <php.h>
#include <SAPI.h>
#include <zend_generators.h>

#include "sapi.h"

#define AT(type, member) ((uint32_t)offsetof(type, member))

static uint64_t address(const void *of)
{
	return (uint64_t)(uintptr_t)of;
}

void kraal_php_layout(struct kraal_layout *layout)
{
	const size_t exception_ops = sizeof(EG(exception_op)) / sizeof(EG(exception_op)[0]);
	*layout = (struct kraal_layout){
	    .current_frame = address(&EG(current_execute_data)),
	    .exception_op = address(EG(exception_op)),
	    .exception_op_end = address(EG(exception_op) + exception_ops),
	    .before_exception = address(&EG(opline_before_exception)),
	    .generator_class = address(zend_ce_generator),
	    .script = address(&SG(request_info).path_translated),
	    .request = address(&SG(server_context)),
	    .frame_size = sizeof(zend_execute_data),
	    .frame_opline = AT(zend_execute_data, opline),
	    .frame_func = AT(zend_execute_data, func),
	    .frame_this = AT(zend_execute_data, This),
	    .frame_info = AT(zend_execute_data, This.u1.type_info),
	    .frame_previous = AT(zend_execute_data, prev_execute_data),
	    .kind_mask = ZEND_CALL_CODE | ZEND_CALL_TOP,
	    .kind_top = ZEND_CALL_TOP_CODE,
	    .kind_nested = ZEND_CALL_NESTED_CODE,
	    .flag_top = ZEND_CALL_TOP,
	    .flag_generator = ZEND_CALL_GENERATOR,
	    .type_mask = Z_TYPE_MASK,
	    .type_object = IS_OBJECT,
	    .function_size = sizeof(zend_op_array),
	    .function_type = AT(zend_op_array, type),
	    .function_name = AT(zend_op_array, function_name),
	    .function_class = AT(zend_op_array, scope),
	    .internal_function = ZEND_INTERNAL_FUNCTION,
	    .function_file = AT(zend_op_array, filename),
	    .function_opcodes = AT(zend_op_array, opcodes),
	    .function_last = AT(zend_op_array, last),
	    .function_line_start = AT(zend_op_array, line_start),
	    .function_line_end = AT(zend_op_array, line_end),
	    .opcode_size = sizeof(zend_op),
	    .opcode_line = AT(zend_op, lineno),
	    .string_length = AT(zend_string, len),
	    .string_text = AT(zend_string, val),
	    .class_name = AT(zend_class_entry, name),
	    .object_class = AT(zend_object, ce),
	    .generator_frame = AT(zend_generator, execute_data),
	    .generator_parent = AT(zend_generator, node.parent),
	    .request_connection = AT(struct sapi_request, connection),
	    .connection_pairs = AT(struct fcgi_connection, params.pairs),
	    .connection_pair_count = AT(struct fcgi_connection, params.count),
	    .pair_size = sizeof(struct param),
	    .pair_name = AT(struct param, name),
	    .pair_value = AT(struct param, value),
	    .pair_name_size = AT(struct param, name_size),
	    .pair_value_size = AT(struct param, value_size),
	};
}
