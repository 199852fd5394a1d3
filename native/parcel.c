#define _GNU_SOURCE
#include "parcel.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Ancillary data that holds one descriptor, aligned as the kernel wants it.  The alignment has room for a second one,
 * which a foreign message may have. */
union one_descriptor {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static void close_all(const struct cmsghdr *header)
{
	const unsigned char *end = (const unsigned char *)header + header->cmsg_len;
	for (const unsigned char *at = CMSG_DATA(header); at + sizeof(int) <= end; at += sizeof(int)) {
		int fd;
		memcpy(&fd, at, sizeof(fd));
		close(fd);
	}
}

ssize_t parcel_receive(int socket, struct iovec *parts, size_t count, int *fd)
{
	union one_descriptor control;
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = count, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t size = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *header = size > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	*fd = -1;
	if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
		return size;
	}
	if (header->cmsg_len == CMSG_LEN(sizeof(int))) {
		memcpy(fd, CMSG_DATA(header), sizeof(*fd));
	} else {
		close_all(header);
	}
	return size;
}

bool parcel_send(int socket, struct iovec *parts, size_t count, int fd)
{
	union one_descriptor control = {0};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = count, .msg_control = &control, .msg_controllen = CMSG_SPACE(sizeof(int))};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}
