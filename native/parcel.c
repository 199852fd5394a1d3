#define _GNU_SOURCE
#include "parcel.h"

#include <string.h>
#include <sys/socket.h>

/* Ancillary data that holds one descriptor, aligned as the kernel wants it. */
union one_descriptor {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

ssize_t parcel_receive(int socket, struct iovec *parts, size_t count, int *fd)
{
	union one_descriptor control;
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = count, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t size = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *header = size > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	*fd = -1;
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
	    header->cmsg_len == CMSG_LEN(sizeof(int))) {
		memcpy(fd, CMSG_DATA(header), sizeof(*fd));
	}
	return size;
}
