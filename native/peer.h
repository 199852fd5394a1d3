/* listen.allowed_clients: who may connect over TCP. */
#ifndef KRAAL_PEER_H
#define KRAAL_PEER_H

#include <stdbool.h>

#include "bridge.h"

/* Whether the peer of this connection may talk to the worker; a refusal is logged. */
bool peer_is_allowed(const struct kraal_worker *worker, int fd);

#endif
