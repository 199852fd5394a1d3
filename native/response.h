/* What PHP writes: its output, and the head of the response in CGI form. */
#ifndef KRAAL_RESPONSE_H
#define KRAAL_RESPONSE_H

#include <SAPI.h>

#include "fastcgi.h"

/* SAPI callbacks. */
size_t response_write(const char *from, size_t size);
void response_flush(void *context);
int response_send_headers(sapi_headers_struct *headers);

/* The header that PHP puts in front of every response, unless expose_php is off. */
void response_put_powered_by(struct fcgi_connection *connection, struct fcgi_io *io);

#endif
