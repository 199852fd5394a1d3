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

static const struct kraal_worker *worker;
static bool over;

void handoff_open(const struct kraal_worker *settings)
{
	worker = settings;
}

static bool send_to(int pair, int fd, const struct handoff_note *note, const void *bytes, size_t size)
{
	struct iovec parts[] = {{(void *)(uintptr_t)note, sizeof(*note)}, {(void *)(uintptr_t)bytes, size}};
	return parcel_send(pair, parts, 2, fd);
}

bool handoff_give(int fd, const struct handoff_note *note, const void *bytes, size_t size)
{
	if (send_to(worker->handoff_give, fd, note, bytes, size)) {
		return true;
	}
	over = over || errno == EPIPE;
	return false;
}

bool handoff_pass(int fd, const struct handoff_note *note, const void *bytes, size_t size)
{
	return send_to(worker->handoff_other, fd, note, bytes, size);
}

bool handoff_is_over(void)
{
	return over;
}

bool handoff_take(struct handed *handed, void *to)
{
	struct iovec parts[] = {{&handed->note, sizeof(handed->note)}, {to, FCGI_HANDED_SIZE}};
	ssize_t size = parcel_receive(worker->handoff_take, parts, 2, &handed->fd);
	over = over || size == 0;
	if (handed->fd < 0) {
		return false;
	}
	if ((size_t)size < sizeof(handed->note)) {
		close(handed->fd);
		return false;
	}
	handed->size = (size_t)size - sizeof(handed->note);
	return true;
}
