#include "peer.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "log.h"

/* How the IPv6 form of an IPv4 address begins. */
static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void peer_address(const struct sockaddr_storage *peer, uint8_t address[16])
{
	if (peer->ss_family == AF_INET6) {
		memcpy(address, &((const struct sockaddr_in6 *)peer)->sin6_addr, 16);
	} else {
		memcpy(address, mapped, sizeof(mapped));
		memcpy(address + sizeof(mapped), &((const struct sockaddr_in *)peer)->sin_addr, 4);
	}
}

static bool is_mapped(const uint8_t address[16])
{
	return memcmp(address, mapped, sizeof(mapped)) == 0;
}

static bool in_network(const uint8_t address[16], const struct kraal_network *network)
{
	uint32_t bytes = network->prefix / 8, bits = network->prefix % 8;
	/* A network of IPv6 (`::/0`) is not meant for IPv4 peers, which only look like its members here. */
	if (network->prefix < 96 && is_mapped(address)) {
		return false;
	}
	if (memcmp(address, network->address, bytes) != 0) {
		return false;
	}
	return !bits || ((address[bytes] ^ network->address[bytes]) >> (8 - bits)) == 0;
}

bool peer_is_allowed(const struct kraal_worker *worker, int fd)
{
	struct sockaddr_storage peer = {0};
	socklen_t size = sizeof(peer);
	uint8_t address[16];

	if (!worker->allowed) {
		return true;
	}
	if (getpeername(fd, (struct sockaddr *)&peer, &size) < 0) {
		return false; /* it is gone already */
	}
	if (peer.ss_family == AF_UNIX) {
		return true;
	}
	peer_address(&peer, address);
	for (uint32_t i = 0; i < worker->allowed_count; i++) {
		if (in_network(address, &worker->allowed[i])) {
			return true;
		}
	}
	bool v4 = is_mapped(address);
	char text[INET6_ADDRSTRLEN] = "";
	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? address + sizeof(mapped) : address, text, sizeof(text));
	log_line(KRAAL_LOG_ERROR, "Connection disallowed: IP address '%s' has been dropped.", text);
	return false;
}

void peer_note(struct fcgi_connection *connection, const struct sockaddr_storage *peer, socklen_t size)
{
	if (connection && size >= sizeof(peer->ss_family)) {
		/* Of a Unix socket the family is enough, and the others fit. */
		memcpy(&connection->peer, peer, size < sizeof(connection->peer) ? size : sizeof(connection->peer));
	}
}

const char *peer_text(struct fcgi_connection *connection)
{
	static char text[INET6_ADDRSTRLEN];
	if (connection->peer.sin6_family == AF_UNSPEC) {
		/* Another worker accepted it. */
		struct sockaddr_storage peer = {0};
		socklen_t size = sizeof(peer);
		if (getpeername(connection->fd, (struct sockaddr *)&peer, &size) == 0) {
			peer_note(connection, &peer, size);
		}
	}
	switch (connection->peer.sin6_family) {
	case AF_INET:
		return inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)&connection->peer)->sin_addr, text, sizeof(text));
	case AF_INET6:
		if (is_mapped(connection->peer.sin6_addr.s6_addr)) {
			return inet_ntop(AF_INET, connection->peer.sin6_addr.s6_addr + sizeof(mapped), text, sizeof(text));
		}
		return inet_ntop(AF_INET6, &connection->peer.sin6_addr, text, sizeof(text));
	default:
		return NULL;
	}
}
