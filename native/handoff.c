#define _GNU_SOURCE
#include "handoff.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fastcgi.h"
#include "parcel.h"

/* Ancillary data that holds one descriptor, aligned as the kernel wants it. */
union one_descriptor {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static const struct kraal_worker *worker;
static bool over;

void handoff_open(const struct kraal_worker *settings)
{
	worker = settings;
}

static bool send_to(int pair, int fd, bool served, const void *bytes, size_t size)
{
	uint8_t mark = served;
	struct iovec parts[] = {{&mark, sizeof(mark)}, {(void *)(uintptr_t)bytes, size}};
	union one_descriptor control = {0};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof(control)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	return sendmsg(pair, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

bool handoff_give(int fd, bool served, const void *bytes, size_t size)
{
	if (send_to(worker->handoff_give, fd, served, bytes, size)) {
		return true;
	}
	over = over || errno == EPIPE;
	return false;
}

bool handoff_pass(int fd, bool served, const void *bytes, size_t size)
{
	return send_to(worker->handoff_other, fd, served, bytes, size);
}

bool handoff_is_over(void)
{
	return over;
}

bool handoff_take(struct handed *handed, void *to)
{
	uint8_t mark = 0;
	struct iovec parts[] = {{&mark, sizeof(mark)}, {to, FCGI_HANDED_SIZE}};
	ssize_t size = parcel_receive(worker->handoff_take, parts, 2, &handed->fd);
	over = over || size == 0;
	if (handed->fd < 0) {
		return false;
	}
	handed->served = mark != 0;
	handed->size = (size_t)size - sizeof(mark);
	return true;
}
