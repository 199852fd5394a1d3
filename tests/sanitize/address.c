/* The address and undefined-behaviour sanitizers in the interpreter.  Managers are executed with an empty environment
 * and as another user, so what to look for and where to write (REPORTS) is compiled in. */
#define _GNU_SOURCE
#include "interpreter.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sanitizer/lsan_interface.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Names are found afterwards, where they are wanted.  Signals stay what they are: tests send them. */
const char *__asan_default_options(void)
{
	return "log_path=" REPORTS "/address:exitcode=66:symbolize=0:detect_leaks=1:leak_check_at_exit=0:"
	       "detect_stack_use_after_return=0:malloc_context_size=12:allocator_may_return_null=1:quarantine_size_mb=16:"
	       "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0:print_suppressions=0";
}

const char *__ubsan_default_options(void)
{
	return "print_stacktrace=1:symbolize=0:halt_on_error=1";
}

/* ---------------------------------------------------------------- the end of a process */

/* Who was made by vfork is not itself: the memory is its parent's. */
static pid_t self;

/* The sanitizer's own check at the end of a process would change its exit code. */
static void look_for_leaks(void)
{
	if (getpid() == self) {
		__lsan_do_recoverable_leak_check();
	}
}

static void note_self(void)
{
	self = getpid();
}

/* Managers, nurseries and workers end so. */
void _exit(int code)
{
	look_for_leaks();
	syscall(SYS_exit_group, code);
	__builtin_unreachable();
}

/* ---------------------------------------------------------------- libraries */

/* PHP binds its extensions to themselves first, past the sanitizer, which refuses that. */
void *dlopen(const char *name, int flags)
{
	static void *(*next)(const char *, int);
	if (!next) {
		next = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
	}
	return next(name, flags & ~RTLD_DEEPBIND);
}

/* What reports name is still there when they are made. */
int dlclose(void *handle)
{
	(void)handle;
	return 0;
}

/* ---------------------------------------------------------------- the beginning of a process */

/* The second sanitizer has its own report file, of whose option it knows nothing beside the first. */
static void open_second_report(void)
{
	void *handle = dlopen("libubsan.so.1", RTLD_NOW | RTLD_NOLOAD);
	void (*set)(const char *) = (void (*)(const char *))dlsym(handle, "__sanitizer_set_report_path");
	set(REPORTS "/undefined");
}

void interpreter_begin(int argc, char **argv)
{
	(void)argc, (void)argv;
	note_self();
	atexit(look_for_leaks);
	open_second_report();
	pthread_atfork(NULL, NULL, note_self);
}
