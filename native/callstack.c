#define _GNU_SOURCE
/* A checked longjmp() takes a jump to another stack for a mistake. */
#undef _FORTIFY_SOURCE
#include "callstack.h"

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>
#include <unistd.h>

#define SIZE_USUAL ((size_t)8 << 20)
#define SIZE_MOST ((size_t)64 << 20)

static ucontext_t begin;          /* of the second stack */
static jmp_buf first, second;     /* where each of them stands; without the mask of signals, which is the process's */
static bool entered;

/* The address sanitizer has to know which stack it is on. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>

static void (*entry_point)(void);
static void *fake_first, *fake_second;
static const void *first_base;
static size_t first_size;

static void leaves_first(void)
{
	__sanitizer_start_switch_fiber(&fake_first, begin.uc_stack.ss_sp, begin.uc_stack.ss_size);
}

static void leaves_second(void)
{
	__sanitizer_start_switch_fiber(&fake_second, first_base, first_size);
}

static void is_on_first(void)
{
	__sanitizer_finish_switch_fiber(fake_first, NULL, NULL);
}

static void is_on_second(void)
{
	__sanitizer_finish_switch_fiber(fake_second, &first_base, &first_size);
}

static void begin_watched(void)
{
	is_on_second();
	entry_point();
}

static void (*watched(void (*entry)(void)))(void)
{
	entry_point = entry;
	__lsan_register_root_region(begin.uc_stack.ss_sp, begin.uc_stack.ss_size);
	return begin_watched;
}
#else
#define leaves_first()
#define leaves_second()
#define is_on_first()
#define is_on_second()
#define watched(entry) (entry)
#endif

/* As large as the first one may become; only what is touched costs memory. */
static size_t wanted_size(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_STACK, &limit) < 0 || limit.rlim_cur < SIZE_USUAL) {
		return SIZE_USUAL;
	}
	return limit.rlim_cur < SIZE_MOST ? limit.rlim_cur : SIZE_MOST;
}

int callstack_open(void (*entry)(void))
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = wanted_size() / page * page;
	char *base = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED) {
		return -1;
	}
	/* Whoever runs over its end is to fall, and not into something else. */
	if (mprotect(base, page, PROT_NONE) < 0 || getcontext(&begin) < 0) {
		munmap(base, size + page);
		return -1;
	}
	/* Of a huge page only a few kilobytes would be used. */
	madvise(base + page, size, MADV_NOHUGEPAGE);
	begin.uc_stack.ss_sp = base + page;
	begin.uc_stack.ss_size = size;
	begin.uc_link = NULL;
	makecontext(&begin, watched(entry), 0);
	return 0;
}

void *callstack_base(void)
{
	return (char *)begin.uc_stack.ss_sp + begin.uc_stack.ss_size;
}

size_t callstack_size(void)
{
	return begin.uc_stack.ss_size;
}

void callstack_enter(void)
{
	if (_setjmp(first) != 0) {
		is_on_first();
		return;
	}
	leaves_first();
	if (entered) {
		_longjmp(second, 1);
	}
	entered = true;
	/* A context has a signal mask of its own, which was taken when more was blocked than now. */
	sigprocmask(SIG_BLOCK, NULL, &begin.uc_sigmask);
	setcontext(&begin);
}

void callstack_leave(void)
{
	if (_setjmp(second) == 0) {
		leaves_second();
		_longjmp(first, 1);
	}
	is_on_second();
}
