# SPDX-License-Identifier: BSD-2-Clause
"""Pictures of an unusual shape, orientation or colour (tests/cases) as cameras: what goes in comes
out, from every encoder; and files that are read on where others would stop."""
import json
import pathlib
import re
import shutil
import struct
import subprocess
import types

import numpy
import pytest

import bytestream
import clients
import recordings

CASES = pathlib.Path(__file__).parents[1] / "cases"
ENCODERS = ["x264", "openh264", "mjpeg"]


def config(source, encoder, **camera):
    mjpeg = encoder == "mjpeg"
    return {
        "daemon": {"name": "test", "http": "127.0.0.1:0"},
        "camera cam": {"source": f"file:{source}", **camera},
        "stream s": {
            "camera": "cam",
            "codec": "mjpeg" if mjpeg else "h264",
            "encoder": encoder,
            **({"quality": 97} if mjpeg else {"bitrate": 8000000}),
            "length_prefixed" if mjpeg else "annexb": "127.0.0.1:0",
        },
    }


def receive(camcastd, encoder, path, units):
    """Writes what a viewer got: a byte stream, or JPEGs one after the other."""
    feed = "s/length_prefixed" if encoder == "mjpeg" else "s/annexb"
    with clients.Viewer(camcastd.port(feed)) as viewer:
        if encoder == "mjpeg":
            viewer.wait(lambda v: len(bytestream.jpegs(v.data)) >= units, f"{units} JPEGs", timeout=40)
            data = b"".join(bytestream.jpegs(viewer.close()))
        else:
            viewer.wait_units(units, timeout=40)
            data = bytes(viewer.close())
    path.write_bytes(data)
    return ["-f", "mjpeg" if encoder == "mjpeg" else "h264", "-i", path]


def probe(inputs, entries):
    command = ["ffprobe", "-v", "error", "-select_streams", "v", "-of", "json"]
    command += ["-show_entries", f"stream={entries}", *map(str, inputs)]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return json.loads(result.stdout)["streams"][0]


def decode(inputs, width, height, pixels="rgb24", filters="null"):
    """All pictures, as an array [n, height, width, 3] of RGB or, for grey, [n, height, width]."""
    command = ["ffmpeg", "-nostdin", "-v", "error", *map(str, inputs), "-map", "0:v"]
    command += ["-fps_mode", "passthrough", "-vf", f"{filters},format={pixels}"]
    command += ["-f", "rawvideo", "-"]
    raw = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    shape = (-1, height, width, 3) if pixels == "rgb24" else (-1, height, width)
    return numpy.frombuffer(raw, numpy.uint8).reshape(shape).astype(numpy.float32)


def psnr(a, b):
    return 10 * numpy.log10(255**2 / max(float(((a - b) ** 2).mean()), 1e-3))


def worst(received, original):
    """The picture that is least like any of the original's, in dB."""
    return min(max(psnr(one, other) for other in original) for one in received)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_rgb_comes_out_as_it_went_in(encoder, start_camcastd, tmp_path):
    case = CASES / "07.mkv"
    camcastd = start_camcastd(config(case, encoder))
    received = receive(camcastd, encoder, tmp_path / "received", 5)
    original = decode(["-i", case], 96, 64)
    # what 4:2:0 costs, without any coding
    halved = decode(["-i", case], 96, 64, filters="scale=out_color_matrix=bt601,format=yuv420p")
    limit = min(psnr(a, b) for a, b in zip(halved, original))
    loss = 2 if encoder == "openh264" else 1  # dB; OpenH264's first pictures are coded coarsely
    assert worst(decode(received, 96, 64)[:5], original) > limit - loss


@pytest.mark.parametrize("encoder", ENCODERS)
def test_hdr_is_marked_and_said(encoder, start_camcastd, tmp_path):
    case = CASES / "15.mp4"
    camcastd = start_camcastd(config(case, encoder))
    received = receive(camcastd, encoder, tmp_path / "received", 5)
    camcastd.wait_log(r"the recording is HDR \(BT\.2020, PQ\)")
    original = decode(["-i", case], 96, 64)
    assert worst(decode(received, 96, 64)[:5], original) > 30
    if encoder != "mjpeg":
        said = probe(received, "color_space,color_transfer,color_primaries")
        assert said == {
            "color_space": "bt2020nc",
            "color_transfer": "smpte2084",
            "color_primaries": "bt2020",
        }


@pytest.mark.parametrize("encoder", ENCODERS + ["copy"])
def test_pixels_keep_their_shape(encoder, start_camcastd, tmp_path):
    camcastd = start_camcastd(config(CASES / "09.mp4", encoder))
    received = receive(camcastd, encoder, tmp_path / "received", 5)
    assert probe(received, "sample_aspect_ratio")["sample_aspect_ratio"] == "32:27"


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize(
    "settings, filters", [({}, "null"), ({"rotation": 180, "hflip": "yes"}, "vflip")]
)
def test_a_phones_video_is_upright(encoder, settings, filters, start_camcastd, tmp_path):
    case = CASES / "10.mp4"
    camcastd = start_camcastd(config(case, encoder, **settings))
    received = receive(camcastd, encoder, tmp_path / "received", 5)
    original = decode(["-i", case], 64, 96, filters=filters)
    assert worst(decode(received, 64, 96)[:5], original) > 30
    assert "do nothing" not in "\n".join(camcastd.log())


@pytest.mark.parametrize(
    "case, settings, copied",
    [("10.mp4", {}, False), ("09.mp4", {"rotation": 180}, False), ("09.mp4", {}, True)],
)
def test_auto_copies_only_what_is_upright(case, settings, copied, start_camcastd, tmp_path):
    camcastd = start_camcastd(config(CASES / case, "auto", **settings))
    receive(camcastd, "auto", tmp_path / "received", 5)
    assert (camcastd.stream()["encoder"] == "copy") == copied
    assert "is to be shown" not in "\n".join(camcastd.log())


@pytest.mark.parametrize(
    "settings, filters", [({}, "null"), ({"rotation": 180, "hflip": "yes"}, "vflip")]
)
def test_a_copied_phones_video_states_its_orientation(settings, filters, start_camcastd, tmp_path):
    """Players of the byte stream and of a recording turn it; the bits are those of the file."""
    case = CASES / "10.mp4"
    camcastd = start_camcastd(config(case, "copy", **settings))
    received = receive(camcastd, "copy", tmp_path / "received", 40)
    original = decode(["-i", case], 64, 96, filters=filters)
    assert worst(decode(received, 64, 96)[:40], original) > 60
    log = "\n".join(camcastd.log())
    assert len(re.findall("is to be shown .*; the copied stream states this", log)) == 1, log

    with record(camcastd, tmp_path) as recorder:
        path = pathlib.Path(recorder.wait_log("recording to (.*)")[1])
        recorder.wait_until(lambda: path.stat().st_size > 20000, "pictures")
        recorder.stop()
    side = probe(["-i", path], "width,height:stream_side_data=rotation")
    assert (side["width"], side["height"]) == (96, 64)
    assert side["side_data_list"][0]["rotation"] in (90, -90)
    assert worst(decode(["-i", path], 64, 96), original) > 60


def record(camcastd, tmp_path):
    nowhere = types.SimpleNamespace(address="127.0.0.1", port=1)
    url = f"tcp://127.0.0.1:{camcastd.port('s/annexb')}"
    return recordings.Recorder(nowhere, tmp_path / "rec", url, "--segment", "86400")


def test_what_cannot_be_controlled_is_said_once(start_camcastd, tmp_path):
    camcastd = start_camcastd(config(CASES / "10.mp4", "copy", brightness="0.1"))
    receive(camcastd, "copy", tmp_path / "received", 80)  # more than two passes
    log = "\n".join(camcastd.log())
    assert len(re.findall("is to be shown turned by 270 degrees", log)) == 1, log
    assert len(re.findall("do nothing, because a recording has none of them: bright", log)) == 1


def test_the_pattern_says_what_it_cannot_do(start_camcastd):
    settings = config("", "x264", hflip="yes", rotation=180, brightness="0.1")
    settings["camera cam"]["source"] = "pattern"
    camcastd = start_camcastd(settings)
    camcastd.wait_log(r"the test pattern has none of them: hflip, rotation, brightness")


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_size_that_changes_keeps_its_shape(encoder, start_camcastd, tmp_path):
    case = CASES / "03.ts"
    sizes = frame_sizes(case)
    assert len(set(sizes)) == 2
    camcastd = start_camcastd(config(case, encoder))
    received = receive(camcastd, encoder, tmp_path / "received", 2 * len(sizes))
    width, height = sizes[0]
    fitted = decode(
        ["-autorotate", "0", "-i", case],
        width,
        height,
        filters=f"scale={width}:{height}:force_original_aspect_ratio=decrease:flags=bilinear"
        f":force_divisible_by=2:eval=frame,pad={width}:{height}:0:trunc((oh-ih)/4)*2:eval=frame",
    )
    assert worst(decode(received, width, height), fitted) > 26
    log = "\n".join(camcastd.log())
    assert len(re.findall(r"the pictures change from \d+x\d+ to \d+x\d+", log)) == 1, log


def frame_sizes(path):
    command = ["ffprobe", "-v", "error", "-select_streams", "v", "-of", "csv=p=0"]
    command += ["-show_entries", "frame=width,height", str(path)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return [tuple(int(n) for n in line.strip(",").split(",")[:2]) for line in lines]


@pytest.mark.parametrize("encoder", ["x264", "mjpeg"])
def test_a_single_jpeg_stays_at_the_cameras_rate(encoder, start_camcastd, tmp_path):
    camcastd = start_camcastd(config(CASES / "e5.jpg", encoder, framerate=20))
    receive(camcastd, encoder, tmp_path / "received", 40)
    assert camcastd.camera()["restarts"] == 0
    assert 15 < camcastd.camera()["fps"] < 25


@pytest.mark.parametrize("encoder", ["x264", "copy"])
def test_a_list_names_the_file_that_is_missing(encoder, start_camcastd, tmp_path):
    camcastd = start_camcastd(config(CASES / "e4.ffconcat", encoder))
    receive(camcastd, encoder, tmp_path / "received", 3 * 36)
    assert len(re.findall("cannot be read to its end: .*not-there.mp4", "\n".join(camcastd.log()))) == 1
    assert camcastd.camera()["restarts"] == 0


def test_a_name_with_a_percent_sign_is_a_file(start_camcastd, tmp_path):
    camcastd = start_camcastd(config(CASES / "18-img%d.png", "x264"))
    receive(camcastd, "x264", tmp_path / "received", 10)
    assert camcastd.camera()["restarts"] == 0


def test_lists_may_have_long_absolute_names(start_camcastd, tmp_path):
    folder = tmp_path / ("x" * 200) / "a ;b "
    folder.mkdir(parents=True)
    shutil.copy(CASES / "e4-clip.mp4", folder / "clip %d ")
    listing = tmp_path / "list.ffconcat"
    listing.write_text(f"ffconcat version 1.0\nfile '{folder}/clip %d '\n")
    camcastd = start_camcastd(config(listing, "copy"))
    receive(camcastd, "copy", tmp_path / "received", 80)
    assert camcastd.camera()["restarts"] == 0


def test_a_codec_that_cannot_be_copied_is_one_reason(start_camcastd):
    camcastd = start_camcastd(config(CASES / "e6.mp4", "copy"))
    camcastd.wait_log(r"holds hevc, which cannot be copied as h264; `encoder = auto` encodes it")
    log = "\n".join(camcastd.log())
    assert "copy needs coded pictures" not in log and "it is decoded" not in log


def test_the_same_is_encoded_if_nobody_asked_for_a_copy(start_camcastd, tmp_path):
    camcastd = start_camcastd(config(CASES / "e6.mp4", "auto"))
    receive(camcastd, "auto", tmp_path / "received", 10)
    assert camcastd.stream()["encoder"] != "copy"


# --- JPEGs that are fields, or state an orientation ---


def avi(packets, width, height, rate):
    """An AVI file of one video stream; ffmpeg writes none whose JPEGs are fields."""

    def chunk(name, data):
        return name + struct.pack("<I", len(data)) + data + bytes(len(data) & 1)

    def chunks(name, *parts):
        return chunk(b"LIST", name + b"".join(parts))

    count, most = len(packets), 1 << 20
    main = struct.pack("<14I", 1000000 // rate, *[0] * 3, count, 0, 1, most, width, height, *[0] * 4)
    head = struct.pack("<10I", 0, 0, 0, 1, rate, 0, count, most, 0xFFFFFFFF, 0)
    head += struct.pack("<4H", 0, 0, width, height)
    bitmap = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"MJPG", 0, 0, 0, 0, 0)
    stream = chunks(b"strl", chunk(b"strh", b"vidsMJPG" + head), chunk(b"strf", bitmap))
    movie = chunks(b"movi", *(chunk(b"00dc", packet) for packet in packets))
    return chunk(b"RIFF", b"AVI " + chunks(b"hdrl", chunk(b"avih", main), stream) + movie)


def field_jpegs(tmp_path, marked):
    """50 JPEGs of 320x120, one for each field. marked: with the APP0 segment of AVI."""
    filters = "format=yuvj420p,interlace=lowpass=off,separatefields"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x240:r=50:d=1"]
    command += ["-vf", filters, "-c:v", "mjpeg", "-q:v", "3", tmp_path / "field-%03d.jpg"]
    subprocess.run([*map(str, command)], check=True)
    fields = [path.read_bytes() for path in sorted(tmp_path.glob("field-*.jpg"))]
    assert len(fields) == 50
    if not marked:
        return fields
    marks = [b"\xff\xe0\x00\x10AVI1" + bytes([1 + i % 2]) + bytes(9) for i in range(50)]
    return [field[:2] + mark + field[2:] for field, mark in zip(fields, marks)]


@pytest.mark.parametrize("marked", [False, True], ids=["plain", "avi1"])
@pytest.mark.parametrize("each", [1, 2], ids=["a-field-a-packet", "two-fields-a-packet"])
def test_jpegs_that_are_fields_are_decoded(each, marked, start_camcastd, tmp_path):
    fields = field_jpegs(tmp_path, marked)
    packets = [b"".join(fields[i : i + each]) for i in range(0, 50, each)]
    case = tmp_path / "fields.avi"
    case.write_bytes(avi(packets, 320, 240, 50 // each))
    original = decode(["-v", "quiet", "-i", case], 320, 240)
    assert len(original) == 25
    camcastd = start_camcastd(config(case, "x264"))
    received = receive(camcastd, "x264", tmp_path / "received", 30)
    assert worst(decode(received, 320, 240)[:30], original) > 28
    assert probe(received, "r_frame_rate")["r_frame_rate"] in ("25/1", "50/1")  # ffprobe 7: fields
    assert 20 < camcastd.stream()["fps"] < 30
    assert "No JPEG data" not in "\n".join(camcastd.log())


def test_a_copy_of_jpegs_that_are_fields_is_refused(start_camcastd, tmp_path):
    case = tmp_path / "fields.avi"
    case.write_bytes(avi(field_jpegs(tmp_path, True), 320, 240, 50))
    settings = config(case, "mjpeg")
    settings["stream s"]["encoder"] = "copy"
    camcastd = start_camcastd(settings)
    camcastd.wait_log("each JPEG of .* is one field of a picture, which cannot be copied")


def exif_jpeg(path):
    """A picture that Exif says to turn by 90 degrees."""
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=s=96x64", "-frames:v", "1"]
    subprocess.run([*command, "-pix_fmt", "yuvj420p", "-q:v", "2", path], check=True)
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    segment = b"Exif\0\0" + tiff
    data = path.read_bytes()
    mark = b"\xff\xe1" + struct.pack(">H", 2 + len(segment))
    path.write_bytes(data[:2] + mark + segment + data[2:])
    return path


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_jpeg_is_turned_as_exif_says(encoder, start_camcastd, tmp_path):
    case = exif_jpeg(tmp_path / "phone.jpg")
    camcastd = start_camcastd(config(case, encoder))
    received = receive(camcastd, encoder, tmp_path / "received", 5)
    turned = decode(["-noautorotate", "-i", case], 64, 96, filters="transpose=clock")
    assert worst(decode(received, 64, 96)[:5], turned) > 25


def test_a_copied_jpeg_s_orientation_is_said_once(start_camcastd, tmp_path):
    settings = config(exif_jpeg(tmp_path / "phone.jpg"), "mjpeg")
    settings["stream s"]["encoder"] = "copy"
    camcastd = start_camcastd(settings)
    receive(camcastd, "mjpeg", tmp_path / "received", 5)
    log = "\n".join(camcastd.log())
    assert len(re.findall(r"turned by 90 degrees, as its JPEGs state \(Exif\)", log)) == 1, log


def test_a_copied_jpeg_s_shape_is_said_once(start_camcastd, tmp_path):
    case = tmp_path / "wide.mkv"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=s=96x64:d=1:r=25"]
    command += ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-aspect", "16:9", tmp_path / "w.mkv"]
    subprocess.run([*map(str, command)], check=True)
    # what ffmpeg wrote into the JPEGs, too, becomes square
    data = (tmp_path / "w.mkv").read_bytes()
    assert data.count(b"JFIF\0") > 10
    case.write_bytes(re.sub(rb"JFIF\x00\x01.{6}", b"JFIF\0\1\1\0\0\1\0\1", data, flags=re.S))
    settings = config(case, "mjpeg")
    settings["stream s"]["encoder"] = "copy"
    camcastd = start_camcastd(settings)
    receive(camcastd, "mjpeg", tmp_path / "received", 30)
    log = "\n".join(camcastd.log())
    assert len(re.findall(r"have the shape 32:27, which a copied JPEG", log)) == 1, log
