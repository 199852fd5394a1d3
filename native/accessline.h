/* One line of the access log, made from a compiled format and the facts of a request.  No PHP, no I/O.
 *
 * What comes from outside cannot end a line or forge another one: control characters are escaped in text, and in
 * JSON every value is a valid string. */
#ifndef KRAAL_ACCESSLINE_H
#define KRAAL_ACCESSLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bridge.h"
#include "params.h"

#define ACCESSLINE_MAX 65535

/* Text of a request that is not ended by a NUL; `at` NULL: there is none. */
struct excerpt {
	const char *at;
	size_t size;
};

/* What is known of a request when it has ended.  Texts may be NULL. */
struct access_record {
	const struct params *params;
	const char *method, *uri, *query, *script, *user, *remote, *pool, *id;
	uint64_t length, memory;
	int status, pid, parent;
	int64_t started_ns, logged_ns;            /* of the epoch */
	int64_t duration_ns;
	int64_t waited_ns;                        /* before it came here; -1: nobody knows */
	int64_t user_ns, system_ns;               /* of processor time */
	struct excerpt (*header)(const struct access_record *record, const char *name, size_t size);
	const void *response;                     /* for `header` */
};

/* Write a line with its newline, ACCESSLINE_MAX bytes at most.  Returns its size; 0: there is nothing to say. */
size_t accessline_put(const struct kraal_access *access, const struct access_record *record, char *line);

#endif
