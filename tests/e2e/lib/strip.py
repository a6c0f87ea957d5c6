# SPDX-License-Identifier: BSD-2-Clause
"""The numbers in the strip on top of the test pattern's pictures (include/camcast/pattern.h)."""
import bytestream

WIDTH, HEIGHT = 320, 240  # of the pictures, unless told otherwise


def read_number(luma, width=WIDTH, height=HEIGHT):
    """The number of a picture, of which these are the bytes of its luma; None: not legible."""
    row = height // 32
    bits = 0
    for block in range(32):
        bits = bits << 1 | (luma[row * width + (2 * block + 1) * width // 64] > 125)
    number, check = bits >> 12 & 0xFFFF, bits >> 4 & 0xFF
    if bits >> 28 != 0xA or bits & 0xF != 0x5 or check != number >> 8 ^ number & 0xFF ^ 0xA5:
        return None
    return number


def decoded_numbers(data, kind, width=WIDTH, height=HEIGHT):
    """Numbers of all pictures of a byte string, "h264" or "mjpeg"."""
    numbers = []
    for *size, row in bytestream.pictures(data, kind):
        assert size == [width, height]
        numbers.append(read_number(row, width, 1))
    return numbers
