/* Who logged in, for a request that PHP does not run. */
#ifndef KRAAL_LOGIN_H
#define KRAAL_LOGIN_H

#include "params.h"

/* The name, or NULL; valid until login_forget. */
const char *login_name(const struct params *params);
void login_forget(void);

#endif
