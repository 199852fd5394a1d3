/* What PHP reads: the body, cookies, and the variables that it sees of a request. */
#ifndef KRAAL_INPUT_H
#define KRAAL_INPUT_H

#include <php.h>

/* SAPI callbacks. */
size_t input_read_post(char *to, size_t size);
char *input_read_cookies(void);
char *input_getenv(const char *name, size_t size);
void input_register_variables(zval *array);

/* From now on $_ENV and getenv() have the params of the request, too. */
void input_hook_environment(void);

#endif
