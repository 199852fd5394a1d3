/* Which requests are for residents, and which for ordinary workers: a pool may have both.
 *
 * Patterns are full paths of scripts, one a line, in which `*` stands for anything.  What a web server puts behind
 * the script's name (PATH_INFO) does not count. */
#ifndef KRAAL_PASSING_H
#define KRAAL_PASSING_H

#include <stdbool.h>

#include "bridge.h"
#include "params.h"

/* Whether a request, as it came, is for a worker of this kind. */
bool passing_is_ours(const struct kraal_worker *worker, const struct params *params);

/* Whether a path is that of a script, or goes on behind it. */
bool passing_matches(const char *patterns, const char *path, size_t size);

#endif
