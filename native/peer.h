/* Who is at the other end of a connection, and whether it may connect (listen.allowed_clients). */
#ifndef KRAAL_PEER_H
#define KRAAL_PEER_H

#include <stdbool.h>

#include <sys/socket.h>

#include "bridge.h"
#include "fastcgi.h"

/* Whether the peer of this connection may talk to the worker; a refusal is logged. */
bool peer_is_allowed(const struct kraal_worker *worker, int fd);

/* Remember who connected, as accept told it.  NULL for the connection does nothing. */
void peer_note(struct fcgi_connection *connection, const struct sockaddr_storage *peer, socklen_t size);

/* The IP address of the peer, or NULL; valid until the next call. */
const char *peer_text(struct fcgi_connection *connection);

#endif
