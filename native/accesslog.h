/* The access log of a worker: one line per request, put into the pipe of the pool's scribe.
 *
 * A line costs one system call, which never waits: what the pipe has no room for is lost, counted in the
 * scoreboard, and the error log is told of it once in a while. */
#ifndef KRAAL_ACCESSLOG_H
#define KRAAL_ACCESSLOG_H

#include "accessline.h"
#include "fastcgi.h"
#include "script.h"

void accesslog_open(const struct kraal_worker *worker);

/* A request begins.  `user` is who logged in, or NULL.  All texts live until accesslog_end. */
void accesslog_begin(struct fcgi_connection *connection, const struct script *script, const char *user);

/* It has ended: write its line, unless that was done.  `header` looks up what was answered; it may be NULL. */
typedef struct excerpt (*accesslog_header)(const struct access_record *record, const char *name, size_t size);
void accesslog_end(int status, uint64_t memory, accesslog_header header, const void *response);

/* Look up a header of a response in CGI form, which ends with a NUL. */
struct excerpt accesslog_find_header(const struct access_record *record, const char *name, size_t size);

#endif
