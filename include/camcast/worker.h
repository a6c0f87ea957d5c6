/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The protocol between camcastd and a capture worker (camcast-capture, or a test double).
 *
 * One SOCK_SEQPACKET pair per worker process; one message is one packet, is one of the structures
 * below in host byte order, and has exactly that structure's size. Text is UTF-8, always
 * terminated, unused bytes 0. A message carries at most one file descriptor (SCM_RIGHTS), and only
 * where its description says so.
 *
 * `stream` and `feed` are numbers within the worker's camera: config_stream.number and
 * config_feed.number (config/config.h), which are the same in the whole configuration and in the
 * part that the worker gets. The worker chooses the segment ids, which are valid on this pair only;
 * camcastd numbers the units itself. camcastd trusts the content that a worker sends, but its own
 * safety never depends on it: it checks every number, and kills a worker that breaks one of these
 * rules.
 *
 * Rules for the worker:
 * - HELLO is the first message. It comes within CAMCAST_HELLO_TIMEOUT_MS and has the right version.
 * - The main loop sends HEARTBEAT at least once a second. A worker that sends no message for
 *   CAMCAST_HANG_TIMEOUT_MS hangs. While the state is CAMCAST_CAMERA_STARTING this limit is
 *   CAMCAST_START_TIMEOUT_MS, because the main loop does not run before the camera is open.
 * - A feed's log is written only while the feed is wanted (WANT), and begins with a key unit each
 *   time. Units that were under way when the feed stopped being wanted may still follow. A stream
 *   is encoded while any of its feeds is wanted. Before the first WANT, the feeds that are kept
 *   (config_feed.kept) are wanted.
 * - A segment is a memfd of fixed size, at most CAMCAST_SEGMENT_MAX bytes, sealed with at least
 *   F_SEAL_SHRINK | F_SEAL_GROW before it is sent. The bytes of a published unit never change.
 * - Units of a feed are in decoding order. Within a segment, offsets never go back or overlap; ids
 * grow.
 * - The fd of a segment is sent with the first unit in it. If the pair is full (EAGAIN), the worker
 *   drops the unit and all following units of that feed up to the next key unit.
 * - The first unit of a feed on a pair, and the first one after any gap, is a key unit.
 * - A feed may have a preamble: data that a viewer needs before its first unit, and that changes
 *   rarely. Its versions count from 1 within a worker's life; version 0 means that the feed has
 *   none. PREAMBLE announces a version before the first unit that names it; the worker repeats an
 *   announcement for which the pair had no room. A unit names the same version as the unit before
 *   it in the feed; a key unit may also name the newest version.
 */
#ifndef CAMCAST_WORKER_H
#define CAMCAST_WORKER_H

#include <stdint.h>

#define CAMCAST_WORKER_VERSION 5u
#define CAMCAST_WORKER_FD 3 /* the worker's end of the pair, for camcast-capture --worker */

#define CAMCAST_HELLO_TIMEOUT_MS 10000
#define CAMCAST_HANG_TIMEOUT_MS 3000
#define CAMCAST_START_TIMEOUT_MS 10000
#define CAMCAST_SEGMENT_MAX (64u << 20)	   /* bytes */
#define CAMCAST_UNIT_MAX (16u << 20)	   /* bytes, framing included */
#define CAMCAST_PREAMBLE_MAX 4096	   /* bytes */
#define CAMCAST_TRACKS_MAX 8		   /* of a feed */
#define CAMCAST_PTS_MAX (INT64_C(1) << 53) /* us; -CAMCAST_PTS_MAX is the least */
#define CAMCAST_UNIT_RATE_MAX 1000	   /* units per second and feed, averaged over 2 s */
#define CAMCAST_BYTE_RATE_MAX (256u << 20) /* bytes per second and feed, likewise */
#define CAMCAST_SEGMENT_RATE_MAX 100	   /* segments per second and feed, likewise */
#define CAMCAST_PREAMBLE_RATE_MAX 10	   /* preambles per second and feed, likewise */
/* HEARTBEATs per second, and STREAMs per second and stream, averaged over 2 s. Each message from
 * camcastd allows some more of both in the two seconds after it. The one answer to a GET_SEGMENT
 * does not count here. */
#define CAMCAST_REPORT_RATE_MAX 100
#define CAMCAST_REPORTS_PER_REQUEST 4

enum camcast_msg_type {
	/* worker to camcastd */
	CAMCAST_MSG_HELLO = 1,
	CAMCAST_MSG_HEARTBEAT = 2,
	CAMCAST_MSG_STREAM = 3,
	CAMCAST_MSG_UNIT = 4,	 /* with the segment's fd where CAMCAST_UNIT_SEGMENT is set */
	CAMCAST_MSG_SEGMENT = 5, /* answer to GET_SEGMENT, with the segment's fd */
	CAMCAST_MSG_PREAMBLE = 6,
	/* camcastd to worker; closing the pair means: stop, and exit with 0 */
	CAMCAST_MSG_WANT = 64,
	CAMCAST_MSG_IDR = 65,
	CAMCAST_MSG_BITRATE = 66,
	CAMCAST_MSG_CONTROL = 67,
	CAMCAST_MSG_GET_SEGMENT = 68,
};

enum camcast_camera_state {
	CAMCAST_CAMERA_STARTING = 0,
	CAMCAST_CAMERA_RUNNING = 1,
	CAMCAST_CAMERA_SILENT = 2, /* started, but no picture for two seconds */
	CAMCAST_CAMERA_FAILED = 3, /* the worker is about to exit, `reason` says why */
};

struct camcast_msg_hello {
	uint32_t type;
	uint32_t version;
	uint32_t pid;
	uint32_t reserved;
	char sandbox[128]; /* what restricts the worker, and what is missing */
};

/* Each second, and at once when something in it but a counter changes. */
struct camcast_msg_heartbeat {
	uint32_t type;
	uint32_t state;	    /* enum camcast_camera_state */
	uint64_t frames;    /* pictures the camera delivered since the worker started */
	uint64_t dropped;   /* of those, thrown away because no slot or no encoder was free */
	uint32_t fps_milli; /* over the last second, in thousandths */
	uint32_t width;
	uint32_t height;
	uint32_t rate_milli; /* pictures a second that the source means, in thousandths: the highest
				where the rate varies; 0: not known */
	uint32_t wait_ms;    /* until the next picture of a recording is due; 0: not known */
	uint32_t reconnects; /* connections to a live source that were lost */
	char source[64];     /* "pattern", "libcamera:imx708", "file:/x.avi" */
	char allocator[64];  /* of the frame slots: "dma-heap:system", "udmabuf", "libcamera",
				"memfd"; "" if none */
	char path[128];	     /* how pictures reach the encoders: format, mapped or imported */
	char reason[184]; /* why the state is not RUNNING, or the last trouble; "" when all is well
			   */
};

/* Each second per stream, and at once when something in it but a counter changes. */
struct camcast_msg_stream {
	uint32_t type;
	uint32_t stream;
	uint64_t units;		/* access units coded since the worker started */
	uint64_t keys;		/* of those, IDR (MJPEG: all) */
	uint64_t dropped;	/* pictures the encoder had no room for */
	uint64_t idr_requests;	/* IDRs encoded on request */
	uint64_t unframed;	/* access units that a wanted feed's framing does not carry */
	uint32_t fps_milli;	/* over the last second */
	uint32_t bitrate_bps;	/* measured over the last second */
	uint32_t target_bps;	/* of the encoder; `copy`: the recording's mean; 0: none (MJPEG) */
	uint32_t encode_us;	/* mean time from picture to access unit over the last second */
	uint32_t active;	/* 0: the stream is not wanted and not encoded */
	uint32_t can_force_idr; /* 0: `copy` */
	char encoder[32]; /* "openh264", "x264", "v4l2m2m", "mjpeg", "copy"; "" when none could be
			     opened */
	char detail[160]; /* device, conversion, why not the better encoder */
};

enum camcast_unit_flags {
	/* A viewer can begin here: the unit can be decoded with the preamble alone (an IDR with
	 * SPS/PPS, a JPEG). */
	CAMCAST_UNIT_KEY = 1u << 0,
	CAMCAST_UNIT_DROPPABLE = 1u << 1, /* no unit refers to it (nal_ref_idc 0) */
	CAMCAST_UNIT_SEGMENT = 1u << 2,	  /* this message carries the segment's fd */
};

struct camcast_msg_unit {
	uint32_t type;
	uint32_t feed;
	uint32_t segment;     /* id */
	uint32_t offset;      /* bytes from the start of the segment */
	uint32_t len;	      /* bytes, 1..CAMCAST_UNIT_MAX */
	uint32_t flags;	      /* enum camcast_unit_flags */
	uint32_t track;	      /* below CAMCAST_TRACKS_MAX; a feed of one track has track 0 */
	uint32_t preamble;    /* version; 0: none */
	uint32_t duration_us; /* until the next unit of the track is presented; 0: not known */
	uint32_t reserved;
	int64_t pts_us; /* presentation time, CLOCK_MONOTONIC; less than that of the unit before
			   where pictures are reordered */
};

struct camcast_msg_preamble {
	uint32_t type;
	uint32_t feed;
	uint32_t version; /* 1, 2, 3... */
	uint32_t len;	  /* bytes of data, 1..CAMCAST_PREAMBLE_MAX */
	uint8_t data[CAMCAST_PREAMBLE_MAX];
};

struct camcast_msg_segment {
	uint32_t type;
	uint32_t feed;
	uint32_t segment;
	uint32_t reserved;
};

/* When the first feed of a stream becomes wanted, encoding begins with an IDR. When another one
 * does, encoding continues, and camcastd asks for an IDR (at most one a second and stream). */
struct camcast_msg_want {
	uint32_t type;
	uint32_t feed;
	uint32_t wanted; /* 1: write its log, beginning with a key unit; 0: stop */
	/* Of a feed of RTP packets (camcast/rtp.h), else 0. The first two never change, so that
	 * clients stay when another worker goes on. The RTP time of a picture is its presentation
	 * time in ticks, and rtp_offset. rtp_sequence is the number of the first packet that this
	 * process sends; later messages to it say nothing new. */
	uint32_t rtp_ssrc;
	uint32_t rtp_offset;
	uint32_t rtp_sequence; /* 16 bits */
};

struct camcast_msg_idr {
	uint32_t type;
	uint32_t stream;
};

struct camcast_msg_bitrate {
	uint32_t type;
	uint32_t stream;
	uint32_t bitrate_bps;
	uint32_t reserved;
};

struct camcast_msg_control {
	uint32_t type;
	uint32_t reserved;
	char name[60];
	char value[124];
};

/* camcastd lost the fd of a segment because its fd table was full (MSG_CTRUNC). The worker sends
 * the fd again in a SEGMENT message if it still has it open, which is sure for the newest segment
 * of each feed only; otherwise it does not answer. */
struct camcast_msg_get_segment {
	uint32_t type;
	uint32_t feed;
	uint32_t segment;
	uint32_t reserved;
};

#endif
