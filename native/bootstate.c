#define _GNU_SOURCE
#include "bootstate.h"

#include <fcntl.h>
#include <locale.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <php.h>
#include <ext/standard/basic_functions.h>
#include <php_main.h>
#include <zend_operators.h>

#include "environment.h"
#include "imports.h"

/* An ini entry that the boot has changed. */
struct setting {
	zend_ini_entry *entry;
	zend_string *value;
	uint8_t modifiable;
};

static struct setting *settings;
static size_t settings_count;
static char **variables;      /* as in environ, whose texts are compared by their address first */
static char **texts;          /* copies of them */
static size_t variables_count;
static char *locale_name;
static int directory = -1;
static mode_t mask;
static zval env;
static bool moves_are_seen;   /* PHP's calls that change the directory come by here */
static bool moved;
static bool masks_are_seen;
static bool masked;

/* ---------------------------------------------------------------- settings */

static void remember_settings(void)
{
	zend_ini_entry *entry;
	settings_count = 0;
	if (!EG(modified_ini_directives)) {
		return;
	}
	settings = pemalloc(sizeof(*settings) * (zend_hash_num_elements(EG(modified_ini_directives)) + 1), true);
	ZEND_HASH_FOREACH_PTR(EG(modified_ini_directives), entry) {
		zend_string *value = entry->value ? zend_string_copy(entry->value) : NULL;
		settings[settings_count++] = (struct setting){entry, value, entry->modifiable};
	} ZEND_HASH_FOREACH_END();
}

static const struct setting *find_setting(const zend_ini_entry *entry)
{
	for (size_t i = 0; i < settings_count; i++) {
		if (settings[i].entry == entry) {
			return &settings[i];
		}
	}
	return NULL;
}

static bool same_text(const zend_string *a, const zend_string *b)
{
	return a == b || (a && b && zend_string_equals(a, b));
}

static void put_back(zend_ini_entry *entry, const struct setting *before)
{
	/* At this stage nobody asks whether a value may be set, or whether it is too late for it. */
	if (!same_text(entry->value, before->value)) {
		zend_string *value = before->value ? zend_string_copy(before->value) : ZSTR_EMPTY_ALLOC();
		zend_alter_ini_entry_ex(entry->name, value, ZEND_INI_USER, ZEND_INI_STAGE_DEACTIVATE, true);
		zend_string_release(value);
	}
	entry->modifiable = before->modifiable;
}

/* Frameworks set their sessions up once, in the first request that has one, and rely on it from then on. */
static bool is_of_sessions(const zend_ini_entry *entry)
{
	return strncmp(ZSTR_VAL(entry->name), "session.", 8) == 0;
}

static void restore_settings(void)
{
	zend_ini_entry *entry;
	if (!EG(modified_ini_directives)) {
		return;
	}
	ZEND_HASH_FOREACH_PTR(EG(modified_ini_directives), entry) {
		const struct setting *before = find_setting(entry);
		if (is_of_sessions(entry)) {
			continue;
		}
		if (before) {
			put_back(entry, before);
		} else if (entry->value == entry->orig_value && entry->modifiable == entry->orig_modifiable) {
			/* `@` has touched error_reporting */
			continue;
		} else {
			zend_restore_ini_entry(entry->name, ZEND_INI_STAGE_DEACTIVATE);
		}
	} ZEND_HASH_FOREACH_END();
}

static void forget_settings(void)
{
	for (size_t i = 0; i < settings_count; i++) {
		if (settings[i].value) {
			zend_string_release(settings[i].value);
		}
	}
	pefree(settings, true);
	settings = NULL;
	settings_count = 0;
}

/* ---------------------------------------------------------------- environment */

static size_t count_variables(void)
{
	size_t count = 0;
	while (environ && environ[count]) {
		count++;
	}
	return count;
}

static void remember_environment(void)
{
	variables_count = count_variables();
	variables = pemalloc(sizeof(*variables) * (variables_count + 1), true);
	texts = pemalloc(sizeof(*texts) * (variables_count + 1), true);
	for (size_t i = 0; i < variables_count; i++) {
		variables[i] = environ[i];
		texts[i] = pestrdup(environ[i], true);
	}
	/* Complete, so that what a request compiles does not fill it. */
	zend_is_auto_global_str(ZEND_STRL("_ENV"));
	zval *now = zend_hash_str_find(&EG(symbol_table), ZEND_STRL("_ENV"));
	ZVAL_UNDEF(&env);
	if (now) {
		ZVAL_COPY_DEREF(&env, now);
	}
	environment_learn();
}

static bool environment_is_same(void)
{
	size_t count = count_variables();
	return count == variables_count && memcmp(environ, variables, count * sizeof(*variables)) == 0;
}

/* The old text of the variable of this name, or NULL. */
static const char *find_text(const char *name, size_t size)
{
	for (size_t i = 0; i < variables_count; i++) {
		if (strncmp(texts[i], name, size) == 0 && texts[i][size] == '=') {
			return texts[i] + size + 1;
		}
	}
	return NULL;
}

/* putenv() keeps the texts that it puts into the environment, and what they replaced: undo it by its own means. */
static void undo_putenv(void)
{
	zend_string *name;
	ZEND_HASH_FOREACH_STR_KEY(&BG(putenv_ht), name) {
		const char *before = name ? find_text(ZSTR_VAL(name), ZSTR_LEN(name)) : NULL;
		const char *now = name ? getenv(ZSTR_VAL(name)) : NULL;
		if (name && (!before || !now || strcmp(before, now) != 0)) {
			zend_hash_del(&BG(putenv_ht), name);
		}
	} ZEND_HASH_FOREACH_END();
}

static void remove_new_variables(void)
{
	for (size_t i = 0; environ && environ[i];) {
		size_t size = strcspn(environ[i], "=");
		if (find_text(environ[i], size)) {
			i++;
			continue;
		}
		char *name = estrndup(environ[i], size);
		bool removed = unsetenv(name) == 0;
		efree(name);
		i += !removed;
	}
}

static void restore_environment(void)
{
	if (environment_is_same()) {
		return;
	}
	undo_putenv();
	remove_new_variables();
	for (size_t i = 0; i < variables_count; i++) {
		size_t size = strcspn(texts[i], "=");
		char *name = estrndup(texts[i], size);
		const char *now = getenv(name);
		if (texts[i][size] && (!now || strcmp(now, texts[i] + size + 1) != 0)) {
			setenv(name, texts[i] + size + 1, true);
		}
		efree(name);
	}
	tzset();
	/* The same variables may stand at other places now. */
	if (count_variables() == variables_count) {
		memcpy(variables, environ, variables_count * sizeof(*variables));
	}
}

static void forget_environment(void)
{
	for (size_t i = 0; i < variables_count; i++) {
		pefree(texts[i], true);
	}
	pefree(texts, true);
	pefree(variables, true);
	texts = variables = NULL;
	variables_count = 0;
	zval_ptr_dtor(&env);
	ZVAL_UNDEF(&env);
}

void bootstate_restore_variables(void)
{
	/* From now on nothing fills it by itself. */
	zend_auto_global *filler = zend_hash_str_find_ptr(CG(auto_globals), ZEND_STRL("_ENV"));
	if (filler) {
		filler->armed = false;
	}
	if (!Z_ISUNDEF(env)) {
		zval copy;
		ZVAL_COPY(&copy, &env);
		zend_hash_str_update(&EG(symbol_table), ZEND_STRL("_ENV"), &copy);
	}
}

/* ---------------------------------------------------------------- the process */

static void restore_locale(void)
{
	const char *now = setlocale(LC_ALL, NULL);
	if (!now || !locale_name || strcmp(now, locale_name) == 0) {
		return;
	}
	setlocale(LC_ALL, locale_name);
	zend_update_current_locale();
	if (BG(ctype_string)) {
		zend_string_release(BG(ctype_string));
		BG(ctype_string) = NULL;
	}
	const char *ctype = setlocale(LC_CTYPE, NULL);
	if (ctype && strcmp(ctype, "C") != 0) {
		BG(ctype_string) = zend_string_init(ctype, strlen(ctype), false);
	}
}

static int seen_chdir(const char *path)
{
	moved = true;
	return chdir(path);
}

static mode_t seen_umask(mode_t wanted)
{
	masked = true;
	return umask(wanted);
}

/* With FFI scripts call libc themselves, where it is allowed to more than files that are preloaded, or to those. */
static bool scripts_call_libc(void)
{
	char *enabled = zend_ini_string(ZEND_STRL("ffi.enable"), 0);
	char *preloaded = zend_ini_string(ZEND_STRL("opcache.preload"), 0);
	return enabled && (strcasecmp(enabled, "preload") != 0 || (preloaded && *preloaded));
}

void bootstate_prepare(void)
{
	const void *libphp = (const void *)php_request_startup;
	bool seen = !scripts_call_libc();
	moves_are_seen = seen && imports_replace(libphp, "chdir", (void (*)(void))seen_chdir);
	masks_are_seen = seen && imports_replace(libphp, "umask", (void (*)(void))seen_umask);
}

static mode_t current_umask(void)
{
	mode_t now = umask(077);
	umask(now);
	return now;
}

void bootstate_open(void)
{
	remember_settings();
	remember_environment();
	locale_name = strdup(setlocale(LC_ALL, NULL));
	directory = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	mask = current_umask();
	moved = masked = false;
}

void bootstate_restore(void)
{
	restore_settings();
	restore_environment();
	restore_locale();
	if (masked || !masks_are_seen) {
		umask(mask);
		masked = false;
	}
	if (directory >= 0 && (moved || !moves_are_seen)) {
		(void)!fchdir(directory);
		moved = false;
	}
}

void bootstate_close(void)
{
	if (!locale_name) {
		return;
	}
	forget_settings();
	forget_environment();
	free(locale_name);
	locale_name = NULL;
	if (directory >= 0) {
		close(directory);
	}
	directory = -1;
}
