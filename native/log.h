/* Log lines of a worker, as php-fpm's workers write them.
 *
 * With catch_output they go to standard error, which the manager reads, in the form `LEVEL: text`; else to
 * the manager's log socket, so that nothing is lost that an operator should know. */
#ifndef KRAAL_LOG_H
#define KRAAL_LOG_H

#include "bridge.h"

void log_open(const struct kraal_worker *worker);

/* At most LOG_LINE_MAX bytes; longer text is cut.  A full socket drops the line. */
#define LOG_LINE_MAX 2048
void log_line_from(const char *function, int line, enum kraal_level level, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
#define log_line(level, ...) log_line_from(__func__, __LINE__, level, __VA_ARGS__)

/* What PHP has to say.  Writes it to standard error if that is caught, cut to log_limit with dots.
 * Returns how many bytes of the message fit, and in *dots what follows them: "..." or "". */
#define LOG_PHP_MARK "PHP message: "
size_t log_php_message(const char *message, size_t size, const char **dots);

/* Tell the manager, among what the script wrote, that the request has ended; if it wrote anything. */
void log_request_end(void);

#endif
