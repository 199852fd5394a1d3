/* The SAPI: what PHP calls while it starts, and while it runs one request.
 *
 * Its name is "fpm-fcgi", because OPcache and frameworks look for that name. */
#ifndef KRAAL_SAPI_H
#define KRAAL_SAPI_H

#include "bridge.h"
#include "fastcgi.h"
#include "script.h"

/* The request that is running.  SG(server_context) points to it, and is NULL between requests. */
struct sapi_request {
	struct fcgi_connection *connection;
	struct fcgi_io *io;
	bool logged;              /* something was written to FCGI_STDERR */
	int body_file;            /* REQUEST_BODY_FILE: a descriptor, -1 if it could not be opened, or: */
};

#define BODY_FILE_UNKNOWN (-2)
#define BODY_FILE_NONE (-3)

/* What the request path needs to know of the worker; set once in a process. */
void sapi_worker_start(const struct kraal_worker *worker);

/* Run one FCGI_READY request from start to end.  Returns 0, or -1 if PHP is beyond repair. */
int sapi_run(struct fcgi_connection *connection, struct fcgi_io *io);

/* The parts of it, for a script that handles requests in a loop: see renewal.h.
 * Take up a request: it runs from here on. */
struct script sapi_take(struct fcgi_connection *connection, struct fcgi_io *io);

/* Tell PHP what is asked for. */
void sapi_fill_request_info(const struct params *params, const struct script *script);

/* If it has failed, let the web server see that. */
void sapi_mark_failure(void);

/* Complete the answer. */
void sapi_end_answer(void);

/* Nothing more is done about the request, which has needed so much memory. */
void sapi_forget(size_t memory);

/* Correct the params of a request and find its script, before anything of PHP starts. */
struct script sapi_resolve(struct params *params);

/* Peak bytes of PHP's memory manager. */
size_t sapi_memory(void);

/* The first line of the last thing that PHP logged while it started, or "". */
const char *sapi_last_complaint(void);

/* Say something about the running request to the web server, for its log. */
void sapi_tell(const char *text);

/* The request that PHP is running, or NULL. */
struct sapi_request *sapi_running(void);

#endif
