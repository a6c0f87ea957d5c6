/* SPDX-License-Identifier: BSD-2-Clause */
#include "media/parameter_sets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void forget(struct parameter_set *set)
{
	free(set->data);
	*set = (struct parameter_set){0};
}

static bool is_same(const struct parameter_set *set, const struct nal *nal)
{
	return set->data && set->len == nal->len && memcmp(set->data, nal->data, nal->len) == 0;
}

int parameter_sets_learn(struct parameter_sets *sets, const struct nal *nal, unsigned *id)
{
	const bool is_sps = nal->type == NAL_SPS;
	struct parameter_set *set;
	unsigned sps_id = 0;
	uint8_t *data;
	int r = is_sps ? sps_read_id(nal) : sps_read_pps_ids(nal, &sps_id);

	if (r < 0)
		return -EINVAL;
	if (nal->len > PARAMETER_SET_MAX)
		return -EMSGSIZE;
	*id = (unsigned)r;
	set = is_sps ? &sets->sps[r] : &sets->pps[r];
	if (is_same(set, nal))
		return 0;
	data = malloc(nal->len);
	if (!data)
		return -ENOMEM;
	memcpy(data, nal->data, nal->len);
	forget(set);
	*set = (struct parameter_set){.data = data, .len = nal->len, .sps_id = (uint8_t)sps_id};
	for (unsigned i = 0; is_sps && i < PPS_IDS; i++) {
		if (sets->pps[i].data && sets->pps[i].sps_id == *id)
			forget(&sets->pps[i]);
	}
	return 1;
}

int parameter_sets_of_slice(const struct parameter_sets *sets, const struct nal *slice)
{
	int id = sps_read_slice_pps_id(slice);

	if (id < 0 || !sets->pps[id].data || !sets->sps[sets->pps[id].sps_id].data)
		return -ENOENT;
	return sets->pps[id].sps_id;
}

void parameter_sets_clear(struct parameter_sets *sets)
{
	for (unsigned i = 0; i < SPS_IDS; i++)
		forget(&sets->sps[i]);
	for (unsigned i = 0; i < PPS_IDS; i++)
		forget(&sets->pps[i]);
}
