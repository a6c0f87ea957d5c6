/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a source makes of the packets that libavformat gives it: coded pictures that are passed on,
 * and decoded as well while a stream wants that; or frames. Main thread, until the source starts.
 */
#ifndef CAPTURE_SOURCE_PICTURES_H
#define CAPTURE_SOURCE_PICTURES_H

#include <libavformat/avformat.h>

#include "capture/source/coded.h"
#include "capture/source/decoder.h"
#include "capture/source/decoding.h"
#include "capture/source/source.h"

struct pictures {
	/* one of them */
	struct coded *coded;
	struct decoder *decoder;
	struct decoding *decoding; /* of what `coded` passes on */
};

/* What is known of the packets. */
struct pictures_input {
	const char *what; /* "recording", for people */
	const AVStream *stream;
	AVRational shape;	    /* of a coded pixel, as players take it; 0/1: not stated */
	AVRational container_shape; /* what the container states of it */
	struct orientation stated;  /* how a player turns the pictures */
	struct orientation exif;    /* what Exif says of the first JPEG */
	bool parsed, immediate;	    /* coded_options' */
	bool key_hidden;	    /* coded_options' keep_hidden */
	bool field_jpegs;	    /* a JPEG is a field */
	uint32_t bitrate_bps;	    /* 0: not known */
};

/* Chooses from coding and codec (source_open()'s), and fills base->info, of which name, the rate
 * and rate_varies are given. 0, or -errno with a text in why[256]; pictures_close() follows in
 * either case. pictures is zeroed. */
int pictures_open(struct pictures *pictures, struct source *base,
		  const struct config_camera *config, enum source_coding coding,
		  enum config_codec codec, const struct pictures_input *input, char *why);
/* The source is stopped, and every frame was released. */
void pictures_close(struct pictures *pictures);

#endif
