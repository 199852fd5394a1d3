#define _GNU_SOURCE
#include "script.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

#include <php.h>
#include <ext/standard/url.h>

/* The variables that are read, and possibly changed, on the way to a script. */
struct variables {
	struct params *params;
	char *script_filename, *path_translated, *path_info, *script_name, *document_root;
	bool apache;              /* mod_proxy_fcgi or mod_proxy_balancer sent the request */
};

/* Remember what a variable was as ORIG_name, then set (or with NULL remove) it. */
#define REPLACE(v, literal, before, after) replace((v)->params, literal, sizeof(literal) - 1, (before), (after))

static char *replace(struct params *params, const char *name, size_t size, const char *before, const char *after)
{
	char original[32] = "ORIG_";
	memcpy(original + 5, name, size + 1);
	if (before) {
		params_set(params, original, size + 5, before);
	}
	return params_set(params, name, size, after);
}

static bool differ(const char *a, const char *b)
{
	return !a || !b ? a != b : strcmp(a, b) != 0;
}

/* Apache's proxy modules send "proxy:fcgi://host:port/path?query" (php bugs 54152, 62172).  Cut it down
 * to the path, in place. */
static bool cut_proxy_prefix(char *filename)
{
	static const char *const prefixes[] = {"proxy:fcgi://", "proxy:balancer://"};
	for (size_t i = 0; filename && i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t size = strlen(prefixes[i]);
		if (strncasecmp(filename, prefixes[i], size) != 0) {
			continue;
		}
		const char *path = strchr(filename + size, '/');
		if (path) {
			memmove(filename, path, strlen(path) + 1);
		}
		char *query = strchr(filename, '?');
		if (query) {
			*query = '\0';
		}
		return path != NULL;
	}
	return false;
}

/* IIS repeats the script's name at the start of PATH_INFO. */
static void mend_iis(struct variables *v)
{
	const char *software = PARAM_GET(v->params, "SERVER_SOFTWARE");
	if (!software || !v->script_name || !v->path_info || strncmp(software, "Microsoft-IIS", 13) != 0) {
		return;
	}
	size_t size = strlen(v->script_name);
	if (strncmp(v->path_info, v->script_name, size) == 0) {
		v->path_info = REPLACE(v, "PATH_INFO", v->path_info, v->path_info[size] ? v->path_info + size : NULL);
	}
}

static bool exists(const char *path)
{
	size_t size = strlen(path);
	if (!size || path[size - 1] == '/') {
		return size == 0;
	}
	/* Through PHP's realpath cache: a known script costs no system call, and if it is known by this very name no copies
	 * of the path either. */
	if (realpath_cache_lookup(path, size, time(NULL))) {
		return true;
	}
	char *real = tsrm_realpath(path, NULL);
	bool found = real != NULL;
	if (real) {
		efree(real);
	}
	return found;
}

/* The longest leading part of path, cut at a slash, that is a file.  Returns its length, 0 if none. */
static size_t find_file(const char *path, char *part)
{
	struct stat found;
	char *slash;
	strcpy(part, path);
	while ((slash = strrchr(part, '/')) || (slash = strrchr(part, '\\'))) {
		*slash = '\0';
		if (stat(part, &found) == 0 && S_ISREG(found.st_mode)) {
			return strlen(part);
		}
	}
	return 0;
}

/* mod_proxy_fcgi with ProxyPass sends no PATH_INFO, but has it at the end of SCRIPT_NAME, perhaps decoded. */
static const char *cut_script_name(struct variables *v, const char *suffix)
{
	size_t name_size = strlen(v->script_name);
	char *decoded = estrdup(suffix);
	size_t sizes[] = {strlen(suffix), php_raw_url_decode(decoded, strlen(suffix))};
	const char *suffixes[] = {suffix, decoded};
	const char *name = NULL;
	for (size_t i = 0; i < 2 && !name; i++) {
		if (name_size > sizes[i] && strcmp(v->script_name + name_size - sizes[i], suffixes[i]) == 0) {
			params_set(v->params, "ORIG_SCRIPT_NAME", sizeof("ORIG_SCRIPT_NAME") - 1, v->script_name);
			v->script_name[name_size - sizes[i]] = '\0';
			name = v->script_name = PARAM_SET(v->params, "SCRIPT_NAME", v->script_name);
		}
	}
	efree(decoded);
	return name;
}

/* A file was found below `path`; what follows it there is PATH_INFO.  Returns the new URI, or NULL. */
static const char *split_path_info(struct variables *v, const char *suffix, const char *original_name)
{
	size_t suffix_size = strlen(suffix);
	size_t info_size = v->path_info ? strlen(v->path_info) : 0;
	const char *before = v->path_info;
	const char *uri = NULL;
	const char *after = suffix;

	if (!v->apache) {
		after = info_size > suffix_size ? v->path_info + info_size - suffix_size : NULL;
	}
	if (!after || !*after || !differ(before, after)) {
		return NULL;
	}
	if (before) {
		params_set(v->params, "ORIG_PATH_INFO", sizeof("ORIG_PATH_INFO") - 1, before);
		char *name = estrdup(before);
		if (!v->apache) {
			name[info_size - suffix_size] = '\0';
		}
		uri = differ(original_name, name) ? REPLACE(v, "SCRIPT_NAME", original_name, name) : original_name;
		efree(name);
	} else if (v->apache && v->script_name) {
		uri = cut_script_name(v, suffix);
	}
	v->path_info = PARAM_SET(v->params, "PATH_INFO", after);
	return uri;
}

/* PATH_TRANSLATED is the document root with PATH_INFO behind it. */
static void translate_path(struct variables *v, const char *file)
{
	const char *info = v->path_info ? v->path_info : "";
	const char *root = v->document_root;
	size_t size = 0;
	if (root) {
		size = strlen(root);
		size -= size && root[size - 1] == '/';
	} else if (v->script_name && strstr(file, v->script_name)) {
		root = file;
		size = strlen(file) - strlen(v->script_name);
	} else {
		return;
	}
	char *path = emalloc(size + strlen(info) + 1);
	memcpy(path, root, size);
	strcpy(path + size, info);
	REPLACE(v, "PATH_TRANSLATED", v->path_translated, path);
	efree(path);
}

/* The path does not exist as it is: PATH_INFO may stand behind the script's name. */
static struct script resolve_longer(struct variables *v, const char *path, const char *original_name)
{
	struct script script = {0};
	char *part = emalloc(strlen(path) + 1);
	size_t size = find_file(path, part);
	if (size) {
		script.uri = split_path_info(v, path + size, original_name);
		script.path = v->script_filename;
		if (differ(v->script_filename, part)) {
			script.path = REPLACE(v, "SCRIPT_FILENAME", v->script_filename, part);
		}
		translate_path(v, part);
	} else {
		REPLACE(v, "SCRIPT_FILENAME", v->script_filename, NULL);
		script.missing = true;
	}
	efree(part);
	if (!script.uri) {
		script.uri = differ(original_name, v->script_name) ? REPLACE(v, "SCRIPT_NAME", original_name, v->script_name)
		                                                   : original_name;
	}
	return script;
}

/* The path exists: only what an old Apache handler set-up bent has to be put right. */
static struct script resolve_exact(struct variables *v, const char *path, const char *original_name, bool redirected)
{
	struct script script = {.path = path};
	if (differ(v->script_filename, path)) {
		script.path = REPLACE(v, "SCRIPT_FILENAME", v->script_filename, path);
	}
	if (!v->apache && redirected) {
		if (v->path_info) {
			REPLACE(v, "PATH_INFO", v->path_info, NULL);
		}
		if (v->path_translated) {
			REPLACE(v, "PATH_TRANSLATED", v->path_translated, NULL);
		}
	}
	script.uri = v->script_name;
	/* Two variables are compared, not two texts: REDIRECT_URL took its place even if it says the same. */
	if (original_name != v->script_name) {
		script.uri = REPLACE(v, "SCRIPT_NAME", original_name, v->script_name);
	}
	return script;
}

static struct script resolve_fixed(struct variables *v, const struct script_settings *settings)
{
	const char *path = v->script_filename ? v->script_filename : v->path_translated;
	char *redirect = PARAM_GET(v->params, "REDIRECT_URL");
	const char *original_name = v->script_name;

	v->document_root = PARAM_GET(v->params, "DOCUMENT_ROOT");
	if (!v->document_root && settings->doc_root && *settings->doc_root) {
		v->document_root = PARAM_SET(v->params, "DOCUMENT_ROOT", settings->doc_root);
	}
	if (!v->apache && v->path_translated && redirect && differ(v->path_translated, path)) {
		/* Script variables point to the php executable: the request's own path is the translated one. */
		path = v->path_translated;
		v->script_name = redirect;
	}
	return exists(path) ? resolve_exact(v, path, original_name, redirect != NULL)
	                    : resolve_longer(v, path, original_name);
}

static bool climbs(const char *path)
{
	for (const char *at = path; (at = strstr(at, "..")); at++) {
		if ((at == path || at[-1] == '/') && (at[2] == '\0' || at[2] == '/')) {
			return true;
		}
	}
	return false;
}

struct script script_resolve(struct params *params, const struct script_settings *settings)
{
	struct variables v = {
	    .params = params,
	    .script_filename = PARAM_GET(params, "SCRIPT_FILENAME"),
	    .path_translated = PARAM_GET(params, "PATH_TRANSLATED"),
	    .path_info = PARAM_GET(params, "PATH_INFO"),
	    .script_name = PARAM_GET(params, "SCRIPT_NAME"),
	};
	struct script script = {0};
	if (!v.script_filename && !v.path_translated) {
		return script;
	}
	mend_iis(&v);
	v.apache = cut_proxy_prefix(v.script_filename);
	if (settings->fix_pathinfo) {
		script = resolve_fixed(&v, settings);
	} else {
		script.uri = v.path_info ? v.path_info : v.script_name;
		script.path = v.script_filename;
		if (!script.path || (!settings->discard_path && v.path_translated)) {
			script.path = v.path_translated;
		}
	}
	if (script.path && climbs(script.path)) {
		script.path = NULL;
	}
	return script;
}
