/* What the parts of fastcgi share: fastcgi.c (life and reading), fastcgi_body.c, fastcgi_decode.c, fastcgi_write.c.
 * Nobody else includes this. */
#ifndef KRAAL_FASTCGI_PARTS_H
#define KRAAL_FASTCGI_PARTS_H

#include "fastcgi.h"

#define NO_RECORD SIZE_MAX

static inline size_t fcgi_smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Write a record's header, or a whole END_REQUEST record of two header sizes, to memory. */
void fcgi_encode_header(uint8_t *to, enum fcgi_type type, uint16_t id, size_t size);
void fcgi_encode_end(uint8_t *to, uint16_t id, uint32_t app_status, enum fcgi_protocol_status status);

/* End the connection; fault is why, or NULL if that is in order. */
void fcgi_die(struct fcgi_connection *connection, const char *fault);

/* Whether the current record carries body bytes of the request. */
bool fcgi_in_body(const struct fcgi_connection *connection);

/* Whether body bytes are next in the input. */
bool fcgi_body_is_next(const struct fcgi_connection *connection);

/* Fill the empty input buffer.  Returns recv's result; EINTR is tried again. */
ssize_t fcgi_receive(const struct fcgi_connection *connection, struct fcgi_io *io, int flags);

/* Whether recv has failed because nothing is there. */
bool fcgi_nothing_yet(ssize_t got);

/* One step over the input.  Returns false when it needs more bytes, or (with keep_body) when body bytes
 * stand next. */
bool fcgi_decode_step(struct fcgi_connection *connection, struct fcgi_io *io, bool keep_body);

/* After a body was thrown away: go on to the next request if it has ended. */
void fcgi_after_body(struct fcgi_connection *connection);

#endif
