#define _GNU_SOURCE
#include "queue.h"

#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of a listening socket these fields of TCP have another meaning. */
static struct queue look_at_tcp(int listener)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);
	if (getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &size) < 0) {
		return (struct queue){0};
	}
	return (struct queue){.waiting = info.tcpi_unacked, .limit = info.tcpi_sacked};
}

static struct queue find_queue(const char *answer, size_t size, uint32_t inode)
{
	struct queue found = {0};
	struct nlmsghdr head;
	struct unix_diag_msg message;
	size_t at = sizeof(head) + sizeof(message);
	if (size < at) {
		return found;
	}
	memcpy(&head, answer, sizeof(head));
	memcpy(&message, answer + sizeof(head), sizeof(message));
	if (head.nlmsg_type != SOCK_DIAG_BY_FAMILY || message.udiag_ino != inode) {
		return found;
	}
	struct nlattr attribute;
	while (at + sizeof(attribute) <= size) {
		memcpy(&attribute, answer + at, sizeof(attribute));
		struct unix_diag_rqlen length;
		if (attribute.nla_type == UNIX_DIAG_RQLEN && at + sizeof(attribute) + sizeof(length) <= size) {
			memcpy(&length, answer + at + sizeof(attribute), sizeof(length));
			return (struct queue){.waiting = length.udiag_rqueue, .limit = length.udiag_wqueue};
		}
		at += attribute.nla_len < sizeof(attribute) ? sizeof(attribute) : NLA_ALIGN(attribute.nla_len);
	}
	return found;
}

static struct queue look_at_unix(int listener)
{
	struct {
		struct nlmsghdr head;
		struct unix_diag_req body;
	} request = {0};
	char answer[512];
	struct stat status;
	if (fstat(listener, &status) < 0) {
		return (struct queue){0};
	}
	request.head.nlmsg_len = sizeof(request);
	request.head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	request.head.nlmsg_flags = NLM_F_REQUEST;
	request.body.sdiag_family = AF_UNIX;
	request.body.udiag_states = UINT32_MAX;
	request.body.udiag_ino = (uint32_t)status.st_ino;
	request.body.udiag_show = UDIAG_SHOW_RQLEN;
	request.body.udiag_cookie[0] = request.body.udiag_cookie[1] = UINT32_MAX;
	int diagnosis = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (diagnosis < 0) {
		return (struct queue){0};
	}
	struct queue found = {0};
	if (send(diagnosis, &request, sizeof(request), 0) == (ssize_t)sizeof(request)) {
		ssize_t size = recv(diagnosis, answer, sizeof(answer), MSG_DONTWAIT);
		if (size > 0) {
			found = find_queue(answer, (size_t)size, request.body.udiag_ino);
		}
	}
	close(diagnosis);
	return found;
}

struct queue queue_look(int listener)
{
	int family = 0;
	socklen_t size = sizeof(family);
	if (getsockopt(listener, SOL_SOCKET, SO_DOMAIN, &family, &size) < 0) {
		return (struct queue){0};
	}
	return family == AF_UNIX ? look_at_unix(listener) : look_at_tcp(listener);
}
