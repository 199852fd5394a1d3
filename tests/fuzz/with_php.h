/* PHP for targets that need it, started once; and what they need of the rest of the library. */
#ifndef KRAAL_FUZZ_WITH_PHP_H
#define KRAAL_FUZZ_WITH_PHP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <php.h>
#include <SAPI.h>
#include <sapi/embed/php_embed.h>

#include "../../native/params.h"

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A folder of our own, which is the working folder; in memory, if there is a place. */
static char place[] = "/dev/shm/kraal-fuzz-XXXXXX";

static inline void check(bool holds)
{
	if (!holds) {
		abort();
	}
}

static void clear_place(void)
{
	char command[64];
	snprintf(command, sizeof(command), "rm -rf %s", place);
	(void)!system(command);
}

static inline void write_file(const char *name, const void *bytes, size_t size)
{
	FILE *file = fopen(name, "w");
	check(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

static inline void start_php(void)
{
	static char program[] = "fuzz", *arguments[] = {program, NULL};
	/* Every allocation by itself, so that the sanitizer sees its end. */
	setenv("USE_ZEND_ALLOC", "0", 1);
	php_embed_module.php_ini_ignore = 1;
	if (!mkdtemp(place)) {
		strcpy(place, "/tmp/kraal-fuzz-XXXXXX");
		check(mkdtemp(place) != NULL);
	}
	check(chdir(place) == 0 && atexit(clear_place) == 0);
	check(php_embed_init(1, arguments) == SUCCESS);
}

/* Split at NUL bytes.  Returns the next text, or NULL at the end. */
static inline const char *next_text(char **rest, const char *end)
{
	if (*rest >= end) {
		return NULL;
	}
	const char *text = *rest;
	*rest += strlen(text) + 1;
	return text;
}

#endif
