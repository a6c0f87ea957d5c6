/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench/lib/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define READ_SIZE 65536	       /* bytes a judged client reads at once */
#define SLOW_BUFFER 16384      /* bytes of SO_RCVBUF for slow and stalled clients */
#define SCANNED_BUFFER 4194304 /* of clients whose datagrams must not be lost here */
#define SELDOM 16	       /* of so many reads of datagrams, one is also of the connection */

/* On loopback each connection comes from the next of 62,500 addresses, 127.1.x.y, so that ports of
 * closed connections (TIME_WAIT) are no limit. */
static int spread_source(const struct crowd *crowd, int fd, uint32_t number)
{
	const struct sockaddr_in *to = (const struct sockaddr_in *)&crowd->target->address;
	struct sockaddr_in from = {.sin_family = AF_INET};
	int one = 1;

	if (to->sin_family != AF_INET || ntohl(to->sin_addr.s_addr) >> 24 != 127)
		return 0;
	from.sin_addr.s_addr = htonl(0x7f010001 + (number / 250 % 250 << 8) + number % 250);
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0)
		return -errno;
	return 0;
}

static struct tally *tally_of(struct crowd *crowd, const struct crowd_client *client)
{
	switch (client->kind) {
	case KIND_SLOW:
		return &crowd->options.slow[client->group].tally;
	case KIND_FLAPPING:
		return &crowd->flapping;
	case KIND_JOINING:
		return &crowd->joining;
	case KIND_STALLED:
	case KIND_HEALTHY:
		break;
	}
	return &crowd->healthy;
}

static void take_unit(void *ctx, const uint8_t *data, size_t len, int64_t complete_us)
{
	judge_unit(ctx, data, len, complete_us);
}

static bool is_slow(const struct crowd_client *client)
{
	return client->kind == KIND_SLOW || client->kind == KIND_STALLED;
}

static void begin_judging(struct crowd *crowd, struct crowd_client *client)
{
	judge_init(&client->judge, &crowd->panel, tally_of(crowd, client));
	client->judge.counts_as_last = client->kind == KIND_HEALTHY && client->scanned;
	client->judge.keep = false;
	wire_init(&client->wire, &crowd->source, take_unit, &client->judge);
	client->judging = true;
	client->playing = false;
	client->timed = false;
}

/* Of multicast the group is known only later. A receiver that is not to hear it stands for one
 * elsewhere in the network, where the server's machine does not bring the packets. */
static int open_pair(struct crowd *crowd, struct crowd_client *client)
{
	int result;

	client->pair.rtp = client->pair.rtcp = -1;
	client->mark_dropped = 0;
	client->deaf = crowd->source.transport == RTSP_MULTICAST && crowd->options.discard &&
		       !client->scanned;
	if (crowd->source.transport != RTSP_UDP)
		return 0;
	result = udp_pair_open(&client->pair, client->fd, crowd->connections, crowd->options.gro);
	if (result < 0)
		return result;
	if (client->kind == KIND_HEALTHY && client->scanned)
		udp_pair_enlarge(&client->pair, SCANNED_BUFFER);
	wire_use_port(&client->wire, client->pair.port);
	return 0;
}

/* What SSL_get_error() says, as recv() would say it. */
static ssize_t explain(struct crowd_client *client)
{
	int error = SSL_get_error(client->ssl, 0);

	ERR_clear_error();
	if (error == SSL_ERROR_ZERO_RETURN)
		return 0;
	errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
	return -1;
}

/* The handshake, as far as it gets; the end of a failed one is seen by who reads. */
static bool is_secure(struct crowd_client *client)
{
	if (!SSL_is_init_finished(client->ssl) && SSL_do_handshake(client->ssl) != 1)
		ERR_clear_error();
	return SSL_is_init_finished(client->ssl);
}

void client_say(struct crowd_client *client)
{
	struct buffer *out = &client->wire.out;
	ssize_t n;
	size_t written;

	if (!(client->judging || client->playing) || (client->ssl && !is_secure(client)) ||
	    out->len == 0)
		return;
	if (client->ssl) {
		if (SSL_write_ex(client->ssl, out->data, out->len, &written) == 1)
			buffer_drop(out, written);
		else
			ERR_clear_error();
		return;
	}
	n = send(client->fd, out->data, out->len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		buffer_drop(out, (size_t)n);
}

void client_connect(struct crowd *crowd, struct crowd_client *client, int64_t due_us, bool keep)
{
	const struct crowd_target *target = crowd->target;
	int buffer = SLOW_BUFFER, result = 0;

	client->fd =
		socket(target->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (client->fd < 0)
		goto fail;
	if (is_slow(client) &&
	    setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer)) < 0)
		goto fail_close;
	result = spread_source(crowd, client->fd, crowd->connections++);
	if (result == 0 &&
	    connect(client->fd, (const struct sockaddr *)&target->address, target->address_len) < 0)
		result = -errno;
	if (result < 0 && result != -EINPROGRESS)
		goto fail_close;
	if (crowd->tls) {
		client->ssl = SSL_new(crowd->tls);
		if (!client->ssl || SSL_set_fd(client->ssl, client->fd) != 1)
			goto fail_close;
		SSL_set_connect_state(client->ssl);
	}
	client->due_us = due_us;
	client->bytes = client->mark_bytes = 0;
	client->budget = 0;
	begin_judging(crowd, client);
	client->judge.keep = keep;
	if (open_pair(crowd, client) < 0)
		goto finish_wire;
	crowd->connected++;
	client_say(client); /* on loopback it is connected already */
	return;

finish_wire:
	wire_finish(&client->wire);
	client->judging = false;
	SSL_free(client->ssl);
	client->ssl = NULL;
fail_close:
	close(client->fd);
	client->fd = -1;
fail:
	crowd->not_connected++;
}

void client_stop_judging(struct crowd *crowd, struct crowd_client *client)
{
	client->judging = false;
	if (client->pair.rtp >= 0)
		client->deaf = udp_pair_go_deaf(&client->pair, crowd->options.discard) == 0 &&
			       crowd->options.discard;
	client->playing = wire_keeps_asking(&client->wire);
	if (client->playing) {
		wire_stop_passing(&client->wire);
		return;
	}
	wire_finish(&client->wire);
	SSL_free(client->ssl);
	client->ssl = NULL;
}

void client_close(struct crowd *crowd, struct crowd_client *client)
{
	socklen_t len = sizeof(int);
	int error = 0;

	/* A stalled client never reads: it learns only here that the server disconnected it. */
	if (client->kind == KIND_STALLED &&
	    getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error)
		crowd->reset_by_server++;
	if (client->judging || client->playing)
		wire_leave(&client->wire);
	client_say(client);
	SSL_free(client->ssl);
	client->ssl = NULL;
	close(client->fd);
	client->fd = -1;
	if (client->pair.rtp >= 0 && !client->deaf && !is_slow(client))
		crowd->unread += udp_pair_dropped(&client->pair);
	udp_pair_close(&client->pair);
	crowd->connected--;
	if (client->judging || client->playing)
		wire_finish(&client->wire);
	client->judging = client->playing = false;
}

/* After each read: what a client says delays its ACKs again, and a delay that is over ends that.
 * Not before the first bytes, because the handshake would wait for the delay, too. */
static void choose_acks(const struct crowd *crowd, const struct crowd_client *client)
{
	int quick = crowd->options.acks == ACKS_QUICK;

	if (crowd->options.acks != ACKS_AUTO)
		(void)setsockopt(client->fd, IPPROTO_TCP, TCP_QUICKACK, &quick, sizeof(quick));
}

static void count_bytes(struct crowd *crowd, struct crowd_client *client, size_t n)
{
	client->bytes += n;
	if (client->kind != KIND_HEALTHY)
		return;
	crowd->bytes += n;
	crowd->scanned_bytes += client->scanned ? n : 0;
}

/* Takes the result of a read of the connection. false: that is over. */
static bool take(struct crowd *crowd, struct crowd_client *client, ssize_t n)
{
	if (n > 0) {
		choose_acks(crowd, client);
		if (!client_has_datagrams(crowd))
			count_bytes(crowd, client, (size_t)n);
		return true;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n == 0)
		crowd->ended_by_server++;
	else if (errno == ECONNREFUSED)
		crowd->refused++;
	else
		crowd->reset_by_server++;
	client_close(crowd, client);
	return false;
}

static void note_first_key(struct crowd *crowd, struct crowd_client *client)
{
	if (client->timed || client->judge.first_key_us == 0)
		return;
	client->timed = true;
	if (client->kind != KIND_SLOW && client->kind != KIND_STALLED)
		hist_add(&crowd->first_key, client->judge.first_key_us - client->due_us);
}

static ssize_t read_wire(struct crowd_client *client, size_t size)
{
	struct wire *wire = &client->wire;
	size_t skippable = client->ssl ? 0 : wire_skippable(wire), got;
	ssize_t n;

	if (client->ssl) {
		if (SSL_read_ex(client->ssl, wire_room(wire, size), size, &got) != 1)
			return explain(client);
		wire_received(wire, got, clock_now_us());
		return (ssize_t)got;
	}
	if (skippable > 0) {
		n = recv(client->fd, NULL, skippable, MSG_DONTWAIT | MSG_TRUNC);
		if (n > 0)
			wire_skipped(wire, (size_t)n, clock_now_us());
		return n;
	}
	n = recv(client->fd, wire_room(wire, size), size, MSG_DONTWAIT);
	if (n > 0)
		wire_received(wire, (size_t)n, clock_now_us());
	return n;
}

/* What follows a read of any kind. false: the connection is over. */
static bool check(struct crowd *crowd, struct crowd_client *client)
{
	if (client->wire.out.len > 0)
		client_say(client);
	if (!client->wire.broken) {
		note_first_key(crowd, client);
		return true;
	}
	client->judge.tally->malformed++;
	crowd->gave_up++;
	client_close(crowd, client);
	return false;
}

static void read_connection(struct crowd *crowd, struct crowd_client *client, size_t limit)
{
	/* Over TLS, one round is a record. */
	for (int round = 0; round < (client->ssl ? 16 : 4) && limit > 0; round++) {
		size_t size = limit < READ_SIZE ? limit : READ_SIZE;
		ssize_t n = read_wire(client, size);

		if (!take(crowd, client, n) || n < 0 || !check(crowd, client))
			return;
		limit -= (size_t)n;
		if ((size_t)n < size && !client->ssl)
			return;
	}
}

static void take_datagram(void *ctx, bool control, const uint8_t *data, size_t len)
{
	struct crowd_client *client = ctx;

	wire_datagram(&client->wire, control, data, len, clock_now_us());
}

/* A group that cannot be joined costs the client. */
static void join_group(struct crowd *crowd, struct crowd_client *client)
{
	const struct udp_group *group = wire_group(&client->wire);

	if (!group || client->deaf || client->pair.rtp >= 0)
		return;
	if (udp_pair_join(&client->pair, client->fd, group, crowd->options.gro) < 0) {
		crowd->not_connected++;
		client_close(crowd, client);
		return;
	}
	if (client->kind == KIND_HEALTHY && client->scanned)
		udp_pair_enlarge(&client->pair, SCANNED_BUFFER);
}

static void read_datagrams(struct crowd *crowd, struct crowd_client *client)
{
	join_group(crowd, client);
	if (client->pair.rtp < 0 || client->deaf)
		return;
	if (!client->judging) {
		count_bytes(crowd, client, udp_pair_count(&client->pair));
		return;
	}
	count_bytes(crowd, client, udp_pair_read(&client->pair, take_datagram, client));
	check(crowd, client);
}

void client_read(struct crowd *crowd, struct crowd_client *client, size_t limit)
{
	bool seldom = client_has_datagrams(crowd) && !client->judging;

	if (!seldom || crowd->tick / crowd->discard_ticks % SELDOM == 0)
		read_connection(crowd, client, limit);
	if (client->fd >= 0 && client_has_datagrams(crowd))
		read_datagrams(crowd, client);
}

void client_count(struct crowd *crowd, struct crowd_client *client)
{
	take(crowd, client, recv(client->fd, NULL, 1 << 24, MSG_DONTWAIT | MSG_TRUNC));
}
