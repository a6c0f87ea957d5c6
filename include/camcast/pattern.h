/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine-readable strip at the top of every picture of the test pattern, from which a viewer
 * or a test reads which frame it decoded:
 *
 *   The strip covers the rows 0 to height/16 - 1 and is CAMCAST_PATTERN_BLOCKS blocks wide; block i
 *   covers the columns i*width/32 to (i+1)*width/32 - 1. A block is white (1, luma 235) or black
 *   (0, luma 16), chroma 128. Sample its middle and compare with luma 125.
 *
 *   blocks  0- 3  1 0 1 0
 *   blocks  4-19  low 16 bits of the frame's number, most significant bit first
 *   blocks 20-27  check: high byte XOR low byte XOR CAMCAST_PATTERN_CHECK, most significant first
 *   blocks 28-31  0 1 0 1
 *
 * Frame numbers count the pictures that were due since the source started, from 0, so that a
 * missing number means that a picture was not taken. The picture also shows, as text, the number
 * and the UTC time at which it was due.
 */
#ifndef CAMCAST_PATTERN_H
#define CAMCAST_PATTERN_H

#define CAMCAST_PATTERN_BLOCKS 32
#define CAMCAST_PATTERN_CHECK 0xa5

#endif
