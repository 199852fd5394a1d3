#define _GNU_SOURCE
#include "timelimit.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>

#include <php.h>
#include <php_main.h>

#include "clock.h"
#include "imports.h"
#include "scoreboard.h"

#define NS_PER_SECOND INT64_C(1000000000)

/* A signal may come at any point. */
static volatile bool expected;        /* the next call is of PHP itself, at the start of a request or script */
static volatile bool wanted;          /* PHP has set its timer and not taken it back */
static volatile int64_t running_ns;   /* the kernel's timer was set for so long and goes on; 0: it is as PHP set it */
static volatile int64_t due_ns;       /* processor time of the worker when the request has used what it may */
static volatile bool changing;        /* from running on to what PHP sets: a signal is the old timer's */
static int64_t set_at_ns;             /* processor time of the worker when the timer was set */
static bool bodiless;                 /* the request can use no time before its script starts */
static bool unblocked;                /* the call that follows the one left out would change nothing */
static bool may_block;                /* scripts can block signals */
static struct sigaction php;          /* what PHP wants to be done at SIGPROF; all zero: it has not said yet */

static void set_timer(int64_t ns)
{
	struct itimerval timer = {.it_value = {.tv_sec = ns / NS_PER_SECOND, .tv_usec = ns % NS_PER_SECOND / 1000}};
	setitimer(ITIMER_PROF, &timer, NULL);
}

static void pass_on(int number, siginfo_t *info, void *context)
{
	if (php.sa_flags & SA_SIGINFO) {
		php.sa_sigaction(number, info, context);
	} else {
		php.sa_handler(number);
	}
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	int error = errno;
	bool exact = !running_ns;
	if (changing) {
		return;
	}
	running_ns = 0;
	if (exact) {
		pass_on(number, info, context);
	} else if (wanted) {
		int64_t left = due_ns - clock_ns(CLOCK_PROCESS_CPUTIME_ID);
		if (left < 1000) {
			pass_on(number, info, context);
		} else {
			set_timer(left);
		}
	}
	errno = error;
}

/* PHP starts a request, or its script: the signal is to come when so much has been used from now on. */
static void start_limit(int64_t ns)
{
	int64_t now = scoreboard_cpu();
	due_ns = now + ns;
	wanted = true;
	/* What is left of it is to be longer than most requests take, so that none is disturbed. */
	if (running_ns && running_ns <= ns && now - set_at_ns < running_ns / 2) {
		return;
	}
	running_ns = ns;
	set_at_ns = now;
	set_timer(ns);
}

/* Let the kernel's timer be just what PHP says. */
static int set_exactly(const struct itimerval *timer, struct itimerval *before)
{
	changing = running_ns != 0;
	int result = setitimer(ITIMER_PROF, timer, before);
	running_ns = 0;
	changing = false;
	return result;
}

static int replaced_setitimer(__itimer_which_t which, const struct itimerval *timer, struct itimerval *before)
{
	if (which != ITIMER_PROF) {
		return setitimer(which, timer, before);
	}
	if (!timer || before || timer->it_value.tv_usec || timerisset(&timer->it_interval)) {
		return set_exactly(timer, before);
	}
	if (timer->it_value.tv_sec && expected) {
		expected = 0;
		start_limit(timer->it_value.tv_sec * NS_PER_SECOND);
		return 0;
	}
	if (!timer->it_value.tv_sec && running_ns) {
		wanted = false;
		return 0;
	}
	return set_exactly(timer, before);
}

static bool same(const struct sigaction *one, const struct sigaction *other)
{
	return one->sa_flags == other->sa_flags && one->sa_sigaction == other->sa_sigaction &&
	       memcmp(&one->sa_mask, &other->sa_mask, sizeof(one->sa_mask)) == 0;
}

static int replaced_sigaction(int number, const struct sigaction *action, struct sigaction *before)
{
	if (number != SIGPROF || !action || before || action->sa_handler == SIG_IGN || action->sa_handler == SIG_DFL) {
		if (number == SIGPROF) {
			php = (struct sigaction){0};
		}
		return sigaction(number, action, before);
	}
	if (same(action, &php)) {
		unblocked = !may_block;
		return 0;
	}
	struct sigaction ours = *action;
	php = *action;
	ours.sa_flags |= SA_SIGINFO;
	ours.sa_sigaction = on_signal;
	return sigaction(number, &ours, before);
}

static int replaced_sigprocmask(int how, const sigset_t *set, sigset_t *before)
{
	bool needless = unblocked && how == SIG_UNBLOCK && !before;
	unblocked = false;
	return needless ? 0 : sigprocmask(how, set, before);
}

/* A child has no timer. */
static void forget(void)
{
	running_ns = 0;
}

void timelimit_prepare(void)
{
	const void *libphp = (const void *)php_request_startup;
	may_block = zend_hash_str_exists(&module_registry, ZEND_STRL("pcntl"));
	/* The first needs the second: a signal that comes too early is not PHP's. */
	if (imports_replace(libphp, "sigaction", (void (*)(void))replaced_sigaction)) {
		imports_replace(libphp, "setitimer", (void (*)(void))replaced_setitimer);
		imports_replace(libphp, "sigprocmask", (void (*)(void))replaced_sigprocmask);
	}
	pthread_atfork(NULL, NULL, forget);
}

void timelimit_request(bool has_body)
{
	bodiless = !has_body;
	expected = bodiless;
}

void timelimit_script(void)
{
	/* PHP sets a second limit only where it has set one for the input, and a limit of 0 takes the first one back. */
	bool second = PG(max_input_time) != -1 && zend_ini_long(ZEND_STRL("max_execution_time"), 0) > 0;
	expected = bodiless && second;
}
