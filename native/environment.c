#include "environment.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include <php_variables.h>

extern char **environ;

/* Texts of the process are compared with their copies: who calls putenv() may change or free what he has put there. */
static char *known;        /* "A=1\0B=2\0" */
static size_t known_size;
static zend_array *variables;
static void (*import)(zval *array);

void environment_prepare(void)
{
	import = php_import_environment_variables;
}

static bool is_known(void)
{
	const char *at = known, *end = known + known_size;
	for (char **text = environ; text && *text; text++) {
		size_t size = strlen(*text) + 1;
		if (size > (size_t)(end - at) || memcmp(*text, at, size) != 0) {
			return false;
		}
		at += size;
	}
	return at == end;
}

static void remember_texts(void)
{
	known_size = 0;
	for (char **text = environ; text && *text; text++) {
		known_size += strlen(*text) + 1;
	}
	char *at = known = perealloc(known, known_size + 1, true);
	for (char **text = environ; text && *text; text++) {
		at = stpcpy(at, *text) + 1;
	}
}

/* One that nobody counts, and nobody frees. */
static zend_string *lasting(zend_string *text)
{
	zend_string *copy = zend_string_init(ZSTR_VAL(text), ZSTR_LEN(text), true);
	zend_string_hash_val(copy);
	GC_ADD_FLAGS(copy, IS_STR_INTERNED | IS_STR_PERMANENT);
	return copy;
}

static zend_array *lasting_array(zend_array *from)
{
	zend_array *to = pemalloc(sizeof(*to), true);
	zend_ulong index;
	zend_string *key;
	zval *value, copy;
	zend_hash_init(to, zend_hash_num_elements(from), NULL, NULL, true);
	ZEND_HASH_FOREACH_KEY_VAL(from, index, key, value) {
		ZVAL_INTERNED_STR(&copy, lasting(Z_STR_P(value)));
		if (key) {
			zend_hash_add_new(to, lasting(key), &copy);
		} else {
			zend_hash_index_add_new(to, index, &copy);
		}
	} ZEND_HASH_FOREACH_END();
	return to;
}

/* The array of before is left to those who hold its strings: a worker script may have kept $_SERVER. */
void environment_learn(void)
{
	zval array;
	if (variables && is_known()) {
		return;
	}
	remember_texts();
	array_init(&array);
	import(&array);
	variables = lasting_array(Z_ARR(array));
	zval_ptr_dtor(&array);
}

void environment_import(zval *array)
{
	if (variables && zend_hash_num_elements(Z_ARR_P(array)) == 0 && is_known()) {
		zend_array_destroy(Z_ARR_P(array));
		Z_ARR_P(array) = zend_array_dup(variables);
	} else {
		import(array);
	}
}
