#define _GNU_SOURCE
#include "userini.h"

#include <string.h>

#include <php.h>
#include <SAPI.h>
#include <php_ini.h>

#include "clock.h"

/* What the files of one directory, and those above it, say; read again after user_ini.cache_ttl. */
struct entry {
	int64_t expires;  /* in seconds of CLOCK_MONOTONIC */
	HashTable values;
};

static HashTable cache;

static void free_entry(zval *value)
{
	struct entry *entry = Z_PTR_P(value);
	zend_hash_destroy(&entry->values);
	free(entry);
}

void userini_start(void)
{
	zend_hash_init(&cache, 8, NULL, free_entry, 1);
}

void userini_stop(void)
{
	zend_hash_destroy(&cache);
}

static struct entry *find_entry(const char *directory, size_t size)
{
	struct entry *entry = zend_hash_str_find_ptr(&cache, directory, size);
	if (!entry) {
		entry = pemalloc(sizeof(*entry), 1);
		entry->expires = 0;
		zend_hash_init(&entry->values, 8, NULL, config_zval_dtor, 1);
		zend_hash_str_update_ptr(&cache, directory, size, entry);
	}
	return entry;
}

/* `name[] = value` and sections make arrays, which PHP would take for texts when it applies them. */
static int keep_text(zval *value)
{
	return Z_TYPE_P(value) == IS_STRING ? ZEND_HASH_APPLY_KEEP : ZEND_HASH_APPLY_REMOVE;
}

/* Read the files from the document root down to the directory; without a common root only its own. */
static void scan(struct entry *entry, char *directory, size_t size, const char *root)
{
	size_t root_size = root ? strlen(root) : 0;
	root_size -= root_size && root[root_size - 1] == '/';
	zend_hash_clean(&entry->values);
	if (root_size > size || (root_size && strncmp(directory, root, root_size) != 0)) {
		php_parse_user_ini_file(directory, PG(user_ini_filename), &entry->values);
		return;
	}
	for (char *slash = strchr(directory + root_size, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		php_parse_user_ini_file(directory, PG(user_ini_filename), &entry->values);
		*slash = '/';
	}
}

/* The directory of the script with a slash at its end, in a buffer of its own. */
static char *directory_of(const char *script, size_t *size)
{
	char *directory = estrdup(script);
	char *slash = strrchr(directory, '/');
	*size = slash ? (size_t)(slash - directory) + 1 : 0;
	directory[*size] = '\0';
	return directory;
}

static void activate_files(char *directory, size_t size, const char *root)
{
	struct entry *entry = find_entry(directory, size);
	/* Not the time of the request: the clock may be set back. */
	int64_t now = clock_seconds();
	if (now > entry->expires) {
		scan(entry, directory, size, root);
		zend_hash_apply(&entry->values, keep_text);
		entry->expires = now + PG(user_ini_cache_ttl);
	}
	php_ini_activate_config(&entry->values, PHP_INI_PERDIR, PHP_INI_STAGE_HTACCESS);
}

void userini_activate(const char *script, const char *document_root, const char *server_name)
{
	if (php_ini_has_per_host_config() && server_name) {
		char *host = estrdup(server_name);
		zend_str_tolower(host, strlen(host));
		php_ini_activate_per_host_config(host, strlen(host));
		efree(host);
	}
	bool files = PG(user_ini_filename) && *PG(user_ini_filename) && document_root;
	if (!files && !php_ini_has_per_dir_config()) {
		return;
	}
	size_t size;
	char *directory = directory_of(script, &size);
	if (size) {
		php_ini_activate_per_dir_config(directory, size);
		if (files) {
			activate_files(directory, size, document_root);
		}
	}
	efree(directory);
}
