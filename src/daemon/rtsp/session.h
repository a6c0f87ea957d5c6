/* SPDX-License-Identifier: BSD-2-Clause */
/* A session of RTSP. Internal to rtsp.c, which reads and writes, methods.c, which answers,
 * who.c, which finds out who asks, and places.c, which decides who may have a place. Loop thread
 * only. */
#ifndef DAEMON_RTSP_SESSION_H
#define DAEMON_RTSP_SESSION_H

#include "daemon/rtsp/interleaved.h"
#include "daemon/rtsp/rtsp.h"
#include "daemon/rtsp/transport.h"
#include "net/message.h"

#define RTSP_TIMEOUT_S 60 /* of the Session header */
#define RTSP_CSEQ_MAX 11  /* bytes, terminator included */
#define RTSP_PATH_MAX (RTSP_NAME_MAX + 32)
#define RTSP_CHALLENGES_MAX (CHALLENGE_MAX + 64)

enum rtsp_phase {
	RTSP_READING,	 /* a request, or frames of the peer */
	RTSP_ASKING,	 /* it is being found out who asks */
	RTSP_DESCRIBING, /* a DESCRIBE, or a SETUP of SAT>IP, waits for the stream's first unit */
	RTSP_ANSWERING,	 /* the answer waits for its place between two units, or is being written */
	RTSP_LINGERING,	 /* what the peer still sends is read, so that no reset overtakes the answer
			  */
};

enum rtsp_state { RTSP_INIT, RTSP_READY, RTSP_PLAYING }; /* RFC 2326 appendix A.2 */

/* What is kept between two pieces of base64; zeroed at the beginning. */
struct tunnel_base64 {
	uint32_t bits;
	uint8_t n; /* bits that are not decoded yet, below 8 */
};

/* What follows when an answer is written. */
enum rtsp_then { RTSP_GO_ON, RTSP_BEGIN, RTSP_PAUSE, RTSP_CLOSE };

struct rtsp_session {
	struct connection *connection;
	struct rtsp *rtsp;
	uint64_t number; /* of its connection; no other one has had it */
	/* rtsp.sessions, before it plays; then in no list. Of places.c: the peer's address. */
	struct list link;
	uint64_t host[2];
	struct loop_timer timeout;
	int64_t until_us; /* when it must play */
	bool waited;	  /* for a key unit that cannot be asked for */
	uint64_t noise;
	struct message *head;	  /* of the request that is being read */
	struct interleaved frame; /* of the peer */
	uint8_t phase, state, then;
	bool described; /* a DESCRIBE was answered: it knows tracks and payloads */
	bool satip;	/* what is set up, or waits for it, is a transport stream */
	bool ended;	/* the peer sends nothing any more */
	uint32_t skip;	/* bytes of a body that are still to come */
	uint8_t *ahead; /* what came before its turn */
	size_t ahead_len;
	/* The answer that waits, and its request's number; "" : none was said. */
	char *answer;
	size_t answer_len;
	char cseq[RTSP_CSEQ_MAX];
	struct access_ask ask;
	struct message *asked; /* the request, in RTSP_ASKING */
	/* The sender of the newest DESCRIBE or SETUP that was let in; in a session that is set up,
	 * the newest one of a user. */
	struct access_who who;
	/* Valid when set up, or while a request waits. */
	struct rtsp_stream stream;
	uint64_t id;		    /* of the Session header; 0: not set up */
	struct transport transport; /* valid when set up */
	struct udp_port *port;	    /* the server's, of UDP; NULL: none was asked for */
	struct udp_viewer *udp;	    /* who plays; NULL: nobody does over UDP */
	struct multicast_member multicast;
	uint64_t had;		   /* cursor_had() before the last pause; 0: there was none */
	bool reported;		   /* within the connection, since it plays */
	struct rtcp_report report; /* the newest one; valid if `reported` */
	char base[512];		   /* of URLs, "rtsp://192.0.2.1:8554/front/" */
	/* Of tunnel.c: of the GET of a tunnel rtsp.tunnels, of others no list; what both halves
	 * have in common, "" without a tunnel; and the other half, NULL: there is none (yet). */
	struct list tunnel;
	char cookie[64];
	struct rtsp_session *other;
	bool posts; /* it is the POST */
	struct tunnel_base64 base64;
	/* From DESCRIBE to PLAY the feed is wanted. */
	struct feed *wanted; /* NULL: none */
	struct feed_waiter waiter;
};

/* --- methods.c --- */

/* Answers a request whose head is complete, at once or later. Returns what the caller frees: the
 * head, or NULL. */
struct message *rtsp_handle(struct rtsp_session *session, struct message *head);
/* The part of a path that names a stream: without the slash before it, the track, and slashes
 * behind. Cuts the path. Whether it named the track. */
bool rtsp_cut_name(char *path, const char **name);
/* A request that waits: answers it if a unit is there; `last`: in any case. False: it waits on. */
bool rtsp_describe(struct rtsp_session *session, bool last);
/* A struct protocol's review(). */
bool rtsp_review(struct connection *connection);

/* --- who.c --- */

/* Finds the sender of a request, for *who where the result is ACCESS_KNOWN. ACCESS_WAITS: `ask` of
 * the session is called later. There is `access`. */
enum access_verdict rtsp_identify(struct rtsp_session *session, const struct message *head,
				  struct access_who *who);
/* The headers of an answer 401. stale: as of challenge_write(). */
void rtsp_write_challenges(const struct rtsp_session *session, bool stale,
			   char headers[RTSP_CHALLENGES_MAX]);

/* --- rtsp.c --- */

/* Opens a viewer over UDP. 0 or -errno. */
int rtsp_open_udp(struct rtsp_session *session);
/* Answers with a status, further headers, each with its CRLF, and a body; NULL: none. `then` of the
 * session is what follows. */
void rtsp_answer(struct rtsp_session *session, int status, const char *headers, const char *body);
/* Keeps a feed wanted; NULL: none any more. False: it drains. */
bool rtsp_want(struct rtsp_session *session, struct feed *feed);
/* The session waits no longer than this. */
void rtsp_set_timeout(struct rtsp_session *session, int64_t us);

/* --- places.c --- */

/* Adds a new session to the list, and removes it if it is there. */
void rtsp_take_place(struct rtsp_session *session);
void rtsp_leave_place(struct rtsp_session *session);
/* Finds a place for a peer, if need be by closing a connection. False: there is none. */
bool rtsp_make_room(struct endpoint *endpoint, const struct net_peer *peer);

#endif
