#define _GNU_SOURCE
#include "login.h"

#include <php.h>
#include <SAPI.h>
#include <php_main.h>

const char *login_name(const struct params *params)
{
	php_handle_auth_data(PARAM_GET(params, "HTTP_AUTHORIZATION"));
	return SG(request_info).auth_user;
}

static void forget(char **text)
{
	if (*text) {
		efree(*text);
		*text = NULL;
	}
}

void login_forget(void)
{
	forget(&SG(request_info).auth_user);
	forget(&SG(request_info).auth_password);
	forget(&SG(request_info).auth_digest);
}
