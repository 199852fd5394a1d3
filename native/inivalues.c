#include "inivalues.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include <php.h>
#include <php_ini.h>
#include <zend_ini_scanner.h>

#include "log.h"

static HashTable locked;
static bool locked_ready;

int inivalues_lock(const char *name)
{
	size_t size = strlen(name);
	zend_ini_entry *entry = zend_hash_str_find_ptr(EG(ini_directives), name, size);
	if (!entry) {
		return -1;
	}
	if (!locked_ready) {
		zend_hash_init(&locked, 8, NULL, NULL, 1);
		locked_ready = true;
	}
	zend_hash_str_add_empty_element(&locked, name, size);
	entry->modifiable = ZEND_INI_SYSTEM;
	return 0;
}

/* These act while PHP starts, and could not be undone after a request. */
static bool acts_for_good(const char *name)
{
	static const char *const names[] = {"extension", "zend_extension", "disable_functions", "disable_classes"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcasecmp(name, names[i]) == 0) {
			return true;
		}
	}
	return false;
}

static void apply(zval *name, zval *value, zval *index, int kind, void *mode)
{
	(void)index;
	if (kind != ZEND_INI_PARSER_ENTRY || !name || !value || !Z_STRLEN_P(name)) {
		log_line(KRAAL_LOG_ERROR, "Passing INI directive through FastCGI: only `name = value` is allowed");
		return;
	}
	if (locked_ready && zend_hash_exists(&locked, Z_STR_P(name))) {
		log_line(KRAAL_LOG_NOTICE, "Passing INI directive through FastCGI: '%s' is set by the pool", Z_STRVAL_P(name));
		return;
	}
	/* At this stage a system value also forbids ini_set(), until the end of the request. */
	int stage = *(int *)mode == ZEND_INI_SYSTEM ? ZEND_INI_STAGE_ACTIVATE : ZEND_INI_STAGE_HTACCESS;
	if (acts_for_good(Z_STRVAL_P(name)) ||
	    zend_alter_ini_entry_ex(Z_STR_P(name), Z_STR_P(value), *(int *)mode, stage, false) == FAILURE) {
		log_line(KRAAL_LOG_ERROR, "Passing INI directive through FastCGI: unable to set '%s'", Z_STRVAL_P(name));
	}
}

void inivalues_apply(const char *lines, int mode)
{
	if (!lines || !*lines) {
		return;
	}
	char *text;
	spprintf(&text, 0, "%s\n", lines);
	zend_parse_ini_string(text, true, ZEND_INI_SCANNER_NORMAL, apply, &mode);
	efree(text);
}
