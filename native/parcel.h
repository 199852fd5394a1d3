/* A descriptor that travels with a message. */
#ifndef KRAAL_PARCEL_H
#define KRAAL_PARCEL_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Receive a message into the parts, without waiting.  Returns its size, 0 at the end and -1 if there is none;
 * *fd becomes the descriptor that came along, or -1. */
ssize_t parcel_receive(int socket, struct iovec *parts, size_t count, int *fd);

/* Send a message with a descriptor, without waiting. */
bool parcel_send(int socket, struct iovec *parts, size_t count, int fd);

#endif
