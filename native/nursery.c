#define _GNU_SOURCE
#include "bridge.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "parcel.h"

/* EX_SOFTWARE: what a worker ends with that cannot start. */
#define EXIT_SOFTWARE 70
#define UNFINISHED_SIZE 1

/* Behind the title of the nursery, which a worker inherits and sees shortened. */
static const char title_end[] = " (nursery)";

enum stream { OUT, ERR, UNFINISHED, STREAMS };

static void close_all(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		close(fds[i]);
	}
}

static bool reply(int line, int32_t text)
{
	ssize_t sent;
	do {
		sent = send(line, &text, sizeof(text), MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent == sizeof(text);
}

static bool is_known(int gate)
{
	char nothing;
	ssize_t size;
	do {
		size = read(gate, &nothing, 1);
	} while (size < 0 && errno == EINTR);
	return size == 1;
}

/* What became of the last birth: a process id, or a negative errno.  It is shared memory, as valgrind makes of each vfork
 * a fork. */
static volatile int32_t *borne;

/* A worker is to be a child of the manager, which adopts the children of its descendants that end: so one that ends
 * at once bears it.  The worker waits until that is so, or its parent's end would look like the manager's, and until
 * the manager was told of it: one that nobody knows, as the nursery was killed meanwhile, would serve for ever.
 *
 * The one between is made by vfork: it borrows our memory, and only the worker's fork copies the tables of pages.
 * POSIX does not promise that fork works there; on Linux both are clone, and single threads have nothing to mend.
 *
 * Returns whether this process is the worker. */
static bool bear(int line)
{
	int gate[2];
	if (pipe2(gate, O_CLOEXEC) < 0) {
		reply(line, -errno);
		return false;
	}
	*borne = -EAGAIN;
	pid_t middle = vfork();
	if (middle == 0) {
		pid_t worker = fork();
		if (worker != 0) {
			*borne = worker < 0 ? -errno : worker;
			_exit(0);
		}
		close(gate[1]);
		if (!is_known(gate[0])) {
			_exit(EXIT_SOFTWARE);
		}
		close(gate[0]);
		return true;
	}
	if (middle < 0) {
		*borne = -errno;
	}
	while (middle > 0 && waitpid(middle, NULL, 0) < 0 && errno == EINTR) {
	}
	if (reply(line, *borne) && *borne > 0) {
		(void)!write(gate[1], "", 1);
	}
	close(gate[0]);
	close(gate[1]);
	return false;
}

static void take_title(void)
{
	size_t size = strlen(program_invocation_name), end = strlen(title_end);
	char *rest = program_invocation_name + size - end;
	if (size > end && strcmp(rest, title_end) == 0) {
		memset(rest, 0, end);
	}
	prctl(PR_SET_NAME, program_invocation_name);
}

/* Everybody may look into himself, but the file belongs to root while the process is closed to others. */
static int open_own_memory(void)
{
	int dumpable = prctl(PR_GET_DUMPABLE);
	if (dumpable != 1) {
		prctl(PR_SET_DUMPABLE, 1);
	}
	int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	if (dumpable != 1) {
		prctl(PR_SET_DUMPABLE, 0);
	}
	return memory;
}

/* Let the manager look into this worker; see unix/insight.py. */
static void open_window(int window)
{
	int memory = open_own_memory();
	uint64_t pid = htobe64((uint64_t)getpid());
	struct iovec part = {&pid, sizeof(pid)};
	if (memory >= 0) {
		parcel_send(window, &part, 1, memory);
		close(memory);
	}
	close(window);
}

/* What came with a birth: all of enum stream, or nothing. */
static const uint8_t *take_streams(const int *fds, size_t count)
{
	void *unfinished = MAP_FAILED;
	if (count == STREAMS) {
		unfinished = mmap(NULL, UNFINISHED_SIZE, PROT_READ, MAP_SHARED, fds[UNFINISHED], 0);
		dup2(fds[OUT], STDOUT_FILENO);
		dup2(fds[ERR], STDERR_FILENO);
	}
	close_all(fds, count);
	return unfinished == MAP_FAILED ? NULL : unfinished;
}

/* Wait for the next birth.  Returns false when there are to be no more. */
static bool await_birth(int line, struct kraal_birth *birth, int *fds, size_t *count)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(STREAMS * sizeof(int))];
	} control;
	struct iovec part = {birth, sizeof(*birth)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t size;
	do {
		size = recvmsg(line, &message, MSG_CMSG_CLOEXEC);
	} while (size < 0 && errno == EINTR);
	struct cmsghdr *header = size > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	*count = 0;
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
		*count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(header), *count * sizeof(int));
	}
	return size == sizeof(*birth);
}

/* In a worker: be no nursery any more. */
static struct kraal_worker *grow_up(const struct kraal_nursery *nursery, const struct kraal_birth *birth)
{
	struct kraal_worker *worker = birth->resident ? nursery->resident : nursery->ordinary;
	take_title();
	munmap((void *)borne, sizeof(*borne));
	close(nursery->line);
	worker->slot = birth->slot;
	worker->max_requests = birth->max_requests;
	if (nursery->window >= 0) {
		open_window(nursery->window);
	}
	return worker;
}

/* Serve without having touched anything of Python's: its memory stays the same as that of all others. */
static enum kraal_outcome serve(const struct kraal_worker *worker)
{
	sigset_t none;
	sigemptyset(&none);
	if (kraal_worker_start(worker) < 0) {
		dprintf(STDERR_FILENO, "worker failed: it cannot watch its listener: %s\n", strerror(errno));
		_exit(EXIT_SOFTWARE);
	}
	sigprocmask(SIG_SETMASK, &none, NULL);
	return kraal_serve(worker);
}

enum kraal_nursed kraal_nurse(const struct kraal_nursery *nursery, struct kraal_birth *birth, enum kraal_outcome *outcome)
{
	int fds[STREAMS];
	size_t count;
	borne = mmap(NULL, sizeof(*borne), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (borne == MAP_FAILED) {
		return KRAAL_DISMISSED;
	}
	while (await_birth(nursery->line, birth, fds, &count)) {
		if (bear(nursery->line)) {
			struct kraal_worker *worker = grow_up(nursery, birth);
			worker->unfinished = take_streams(fds, count);
			if (birth->resident || nursery->prepare) {
				return KRAAL_BORN;
			}
			*outcome = serve(worker);
			return KRAAL_SERVED;
		}
		close_all(fds, count);
	}
	return KRAAL_DISMISSED;
}
