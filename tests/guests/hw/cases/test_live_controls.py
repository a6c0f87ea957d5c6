# SPDX-License-Identifier: BSD-2-Clause
"""Requests to a running V4L2 encoder, as its units and the driver show them."""
import guest
import worker


def test_keys_come_at_the_interval_and_when_asked(vicodec, tmp_path):
    config = guest.config(vicodec, "dma-heap:system", stream={"keyframe_interval": 12})
    with worker.Worker(config, tmp_path) as capture:
        keys = capture.units(30)
        assert [i for i, key in enumerate(keys) if key] == [0, 12, 24]
        assert vicodec.get("gop") == "12"
        forced = int(vicodec.get("forced"))
        capture.send(worker.MSG_IDR, 0)
        keys = capture.units(20)
        first = keys.index(True)
        assert first < 5, f"the next key only after {first} units"
        assert keys[first + 1 : first + 12] == [False] * 11, "a GOP begins at the forced key"
        assert int(vicodec.get("forced")) == forced + 1


def test_bitrate_changes_while_running(vicodec, tmp_path):
    config = guest.config(vicodec, "dma-heap:system", stream={"keyframe_interval": 100})
    with worker.Worker(config, tmp_path) as capture:
        capture.units(3)
        assert vicodec.get("bitrate") == "1000000"
        capture.send(worker.MSG_BITRATE, 0, 512345, 0)
        keys = []
        while vicodec.get("bitrate") == "1000000" and len(keys) < 60:  # those under way come first
            keys += capture.units(1)
        assert vicodec.get("bitrate") == "500000", "the driver has steps of 25000"
        assert not any(keys + capture.units(2)), "and no key frame is needed for it"
