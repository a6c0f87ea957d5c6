/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The newest parameter sets of an H.264 stream, as a decoder keeps them (clause 7.4.1.2.1). No
 * thread affinity; a struct parameter_sets belongs to one thread.
 */
#ifndef MEDIA_PARAMETER_SETS_H
#define MEDIA_PARAMETER_SETS_H

#include <stdint.h>

#include "media/nal.h"
#include "media/sps.h"

struct parameter_set {
	uint8_t *data; /* the NAL unit, with emulation prevention; NULL: never seen */
	size_t len;
	uint8_t sps_id; /* of a PPS: the SPS that it goes with */
};

/* Zeroed at the beginning. Read by users, changed by the functions below. */
struct parameter_sets {
	struct parameter_set sps[SPS_IDS], pps[PPS_IDS];
};

/*
 * Remembers an SPS or a PPS; *id is its number. A new SPS takes the PPSs with it that went with the
 * old one of its number. 1: it is new, 0: it is known already, -EINVAL: it cannot be read,
 * -EMSGSIZE: it is longer than PARAMETER_SET_MAX, -ENOMEM. Errors leave everything as it was.
 */
int parameter_sets_learn(struct parameter_sets *sets, const struct nal *nal, unsigned *id);
/* The number of the SPS that a slice uses, or -ENOENT: it or the PPS is not known. */
int parameter_sets_of_slice(const struct parameter_sets *sets, const struct nal *slice);
/* Frees and forgets all. */
void parameter_sets_clear(struct parameter_sets *sets);

#endif
