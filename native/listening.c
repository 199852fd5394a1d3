#define _GNU_SOURCE
#include "listening.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "sharing.h"

static const struct kraal_worker *worker;
static int epoll = -1;
static void *mark;
static bool listening;
static volatile sig_atomic_t ended;

void listening_open(const struct kraal_worker *settings, int epoll_fd, void *listener_mark)
{
	worker = settings;
	epoll = epoll_fd;
	mark = listener_mark;
}

/* Whether new connections are this worker's business: while a resident is up they are the residents'. */
static bool is_for_us(void)
{
	return worker->script || !worker->match || !sharing_resident_is_up();
}

void listening_want(bool wanted)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = mark};
	wanted = wanted && is_for_us();
	if (wanted && !listening) {
		listening = epoll_ctl(epoll, EPOLL_CTL_ADD, worker->listener, &event) == 0;
	} else if (!wanted && listening) {
		epoll_ctl(epoll, EPOLL_CTL_DEL, worker->listener, NULL);
		listening = false;
	}
}

bool listening_now(void)
{
	return listening;
}

void listening_end(void)
{
	ended = 1;
	/* First this: the socket lives on in other processes, and so would its place in our set. */
	epoll_ctl(epoll, EPOLL_CTL_DEL, worker->listener, NULL);
	/* Were the number free, the next file would get it, and accept() or epoll_ctl() that are about to be called would
	 * be for that one.  An epoll set is no socket, and cannot be in itself. */
	(void)dup3(epoll, worker->listener, O_CLOEXEC);
}

bool listening_has_ended(void)
{
	return ended;
}
