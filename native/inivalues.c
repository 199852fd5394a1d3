#define _GNU_SOURCE
#include "inivalues.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include <php.h>
#include <php_ini.h>
#include <zend_ini_scanner.h>

#include "log.h"
#include "sapi.h"

#define PASSING "Passing INI directive through FastCGI: "

/* So many settings are complained of in the life of a worker, each once. */
#define COMPLAINTS 100

/* OPcache puts the value in place of ini_get() for what only the system may change, and keeps that for all
 * requests.  With this bit beside it, which means nothing to PHP, it does not. */
#define FOR_THIS_REQUEST (1 << 7)

static HashTable locked;
static bool locked_ready;
static const char *allowed;  /* names, separated by spaces; NULL: all */

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

void inivalues_limit(const char *names)
{
	allowed = names;
}

static bool is_allowed(const zend_string *name)
{
	if (!allowed) {
		return true;
	}
	for (const char *at = allowed; *at;) {
		size_t size = strcspn(at, " ");
		if (zend_string_equals_cstr(name, at, size)) {
			return true;
		}
		at += size + (at[size] == ' ');
	}
	return false;
}

/* These act while PHP starts, and could not be undone after a request; or it would crash. */
static bool acts_for_good(const char *name)
{
	static const char *const names[] = {
	    "extension", "zend_extension", "disable_functions", "disable_classes", "opcache.protect_memory",
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcasecmp(name, names[i]) == 0) {
			return true;
		}
	}
	return false;
}

/* Web servers send the same with every request, and may send anything: that must not fill the log. */
static bool is_news(zend_string *name)
{
	static zend_ulong told[COMPLAINTS];
	static size_t count;
	zend_ulong hash = zend_string_hash_val(name);
	for (size_t i = 0; i < count; i++) {
		if (told[i] == hash) {
			return false;
		}
	}
	if (count == COMPLAINTS) {
		return false;
	}
	told[count++] = hash;
	return true;
}

/* As in php-fpm the web server hears of a mistake each time. */
static void refuse(zend_string *name, const char *why)
{
	char *text;
	spprintf(&text, 0, PASSING "%s '%s'", why, ZSTR_VAL(name));
	sapi_tell(text);
	if (is_news(name)) {
		log_line(KRAAL_LOG_ERROR, "%s", text);
	}
	efree(text);
}

static void ignore(zend_string *name, const char *why)
{
	if (is_news(name)) {
		log_line(KRAAL_LOG_NOTICE, PASSING "'%s' is %s", ZSTR_VAL(name), why);
	}
}

static bool set(zend_string *name, zend_string *value, int mode)
{
	/* The parser's own strings are not of the request's memory, in which PHP's error_reporting() expects them. */
	zend_string *copy = zend_string_init(ZSTR_VAL(value), ZSTR_LEN(value), false);
	/* At this stage a system value also forbids ini_set(), until the end of the request.  As in php-fpm even
	 * what scripts and .user.ini files may not change is changed. */
	zend_result result = zend_alter_ini_entry_ex(name, copy, mode, ZEND_INI_STAGE_ACTIVATE, true);
	zend_string_release(copy);
	if (result == FAILURE) {
		return false;
	}
	zend_ini_entry *entry = zend_hash_find_ptr(EG(ini_directives), name);
	if (entry->modifiable == ZEND_INI_SYSTEM) {
		entry->modifiable |= FOR_THIS_REQUEST;
	}
	return true;
}

static void apply(zval *name, zval *value, zval *index, int kind, void *mode)
{
	(void)index;
	if (!name) {
		return;
	}
	zend_string *key = Z_STR_P(name);
	if (kind != ZEND_INI_PARSER_ENTRY) {
		refuse(key, "only classic entries are allowed, unlike");
	} else if (!value) {
		refuse(key, "empty value for key");
	} else if (!is_allowed(key)) {
		ignore(key, "not allowed (see security.limit_php_value)");
	} else if (locked_ready && zend_hash_exists(&locked, key)) {
		ignore(key, "set by the pool");
	} else if (acts_for_good(ZSTR_VAL(key)) || !set(key, Z_STR_P(value), *(int *)mode)) {
		refuse(key, "unable to set");
	}
}

static void apply_param(const struct params *params, const char *param, size_t size, int mode)
{
	const char *lines = params_get(params, param, size);
	if (!lines || !*lines) {
		return;
	}
	char *text;
	spprintf(&text, 0, "%s\n", lines);
	/* The parser writes what is wrong to standard error, which need not be read. */
	zend_result result = zend_parse_ini_string(text, true, ZEND_INI_SCANNER_NORMAL, apply, &mode);
	efree(text);
	if (result == FAILURE) {
		zend_string *name = zend_string_init(param, size, false);
		refuse(name, "syntax error in");
		zend_string_release(name);
	}
}

void inivalues_apply(const struct params *params)
{
	apply_param(params, ZEND_STRL("PHP_VALUE"), ZEND_INI_USER);
	apply_param(params, ZEND_STRL("PHP_ADMIN_VALUE"), ZEND_INI_SYSTEM);
}
