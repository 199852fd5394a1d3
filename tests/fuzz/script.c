/* Script resolution: a byte of settings, and texts that end in NUL, for one variable after the other.
 *
 * The working folder has the scripts a.php and d/b.php; a text "*" leaves a variable out. */
#include "with_php.h"

#include "../../native/script.h"

static const char *const NAMES[] = {"SCRIPT_FILENAME", "PATH_TRANSLATED", "PATH_INFO",      "SCRIPT_NAME",
                                    "DOCUMENT_ROOT",   "REDIRECT_URL",    "SERVER_SOFTWARE"};

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
	(void)count;
	(void)arguments;
	start_php();
	check(mkdir("d", 0755) == 0);
	write_file("a.php", "<?php", 5);
	write_file("d/b.php", "<?php", 5);
	return 0;
}

/* Whether a part of the path is "..". */
static bool climbs(const char *path)
{
	size_t size = strlen(path);
	return strcmp(path, "..") == 0 || strncmp(path, "../", 3) == 0 || strstr(path, "/../") ||
	       (size >= 3 && strcmp(path + size - 3, "/..") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct params params;
	if (!size || size > 65536) {
		return 0;
	}
	struct script_settings settings = {
	    .fix_pathinfo = bytes[0] & 1,
	    .discard_path = bytes[0] & 2,
	    .doc_root = bytes[0] & 4 ? place : NULL,
	};
	char *texts = malloc(size);
	check(texts != NULL);
	memcpy(texts, bytes + 1, size - 1);
	texts[size - 1] = '\0';
	params_reset(&params);
	char *rest = texts;
	for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
		const char *text = next_text(&rest, texts + size);
		if (text && strcmp(text, "*") != 0) {
			check(params_set(&params, NAMES[i], strlen(NAMES[i]), text) != NULL);
		}
	}
	struct script script = script_resolve(&params, &settings);
	check(!script.path || !climbs(script.path));
	check(!script.missing || !script.path);
	if (script.uri) {
		(void)strlen(script.uri);
	}
	/* A cache of paths that only grows would be all that is tested in the end. */
	realpath_cache_clean();
	free(texts);
	return 0;
}
