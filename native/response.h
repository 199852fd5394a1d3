/* What PHP writes: its output, and the head of the response in CGI form. */
#ifndef KRAAL_RESPONSE_H
#define KRAAL_RESPONSE_H

#include <SAPI.h>

#include "accessline.h"
#include "fastcgi.h"

/* SAPI callbacks. */
size_t response_write(const char *from, size_t size);
void response_flush(void *context);
int response_send_headers(sapi_headers_struct *headers);

/* Look up a header of the running request's response, by the name that it was given in any case. */
struct excerpt response_find_header(const struct access_record *record, const char *name, size_t size);

/* The header that PHP puts in front of every response, unless expose_php is off. */
void response_put_powered_by(struct fcgi_connection *connection, struct fcgi_io *io);

#endif
