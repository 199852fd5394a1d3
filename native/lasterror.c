#include "lasterror.h"

#include <php.h>

#include "scoreboard.h"

/* Of a long message, so that its place has room, too. */
#define MESSAGE_MOST 320

static void (*raise_error)(int type, zend_string *file, const uint32_t line, zend_string *message);

static const char *name_of(int type)
{
	switch (type & E_ALL) {
	case E_WARNING:
	case E_CORE_WARNING:
	case E_COMPILE_WARNING:
	case E_USER_WARNING:
		return "Warning";
	case E_NOTICE:
	case E_USER_NOTICE:
		return "Notice";
	case E_STRICT:
	case E_DEPRECATED:
	case E_USER_DEPRECATED:
		return "Deprecated";
	case E_PARSE:
		return "Parse error";
	default:
		return "Fatal error";
	}
}

/* PHP may not come back from an error, so it is noted first. */
static void note_error(int type, zend_string *file, const uint32_t line, zend_string *message)
{
	/* What a script silences is nothing to speak of. */
	if (EG(error_reporting) & type & E_ALL) {
		char text[KRAAL_ERROR_SIZE];
		snprintf(text, sizeof(text), "%s: %.*s in %s on line %u", name_of(type), MESSAGE_MOST, ZSTR_VAL(message),
		         file ? ZSTR_VAL(file) : "Unknown", line);
		scoreboard_error(text);
	}
	raise_error(type, file, line, message);
}

void lasterror_open(void)
{
	raise_error = zend_error_cb;
	zend_error_cb = note_error;
}
