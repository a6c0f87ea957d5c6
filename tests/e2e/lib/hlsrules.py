# SPDX-License-Identifier: BSD-2-Clause
"""What RFC 8216, draft-pantos-hls-rfc8216bis and Apple's authoring specification demand of a live
media playlist, alone and over time. Apple's own checker, mediastreamvalidator, runs on macOS only.

parse() reads one playlist and checks it; a History checks each one against those before it.
"""
import dataclasses
import datetime
import math
import re

KNOWN = {
    "EXTM3U", "EXT-X-VERSION", "EXT-X-INDEPENDENT-SEGMENTS", "EXT-X-TARGETDURATION",
    "EXT-X-SERVER-CONTROL", "EXT-X-PART-INF", "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-DISCONTINUITY-SEQUENCE", "EXT-X-DISCONTINUITY", "EXT-X-MAP",
    "EXT-X-PROGRAM-DATE-TIME", "EXT-X-PART", "EXTINF", "EXT-X-PRELOAD-HINT",
}  # fmt: skip
ONCE = ("EXTM3U", "EXT-X-VERSION", "EXT-X-TARGETDURATION", "EXT-X-SERVER-CONTROL",
        "EXT-X-PART-INF", "EXT-X-MEDIA-SEQUENCE", "EXT-X-DISCONTINUITY-SEQUENCE")  # fmt: skip
ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"\r\n]*"|[^",\r\n]+)(?:,|$)')


class Broken(AssertionError):
    """A playlist breaks a rule; carries its text."""


@dataclasses.dataclass
class Part:
    uri: str
    duration: float
    independent: bool


@dataclasses.dataclass
class Segment:
    number: int
    map: str
    discontinuity: int  # discontinuity sequence number
    date: datetime.datetime
    uri: str = None  # None: it is not finished
    duration: float = None
    parts: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Playlist:
    text: str
    target: int
    part_target: float
    control: dict
    sequence: int
    discontinuity_sequence: int
    independent: bool
    segments: list  # the last one may be unfinished
    hint: str = None

    def require(self, holds, rule):
        if not holds:
            raise Broken(f"{rule}:\n{self.text}")

    @property
    def finished(self):
        return [segment for segment in self.segments if segment.uri]

    def next_wanted(self):
        """(_HLS_msn, _HLS_part) of what comes next."""
        last = self.segments[-1]
        if last.uri:
            return last.number + 1, 0
        return last.number, len(last.parts)


def attributes(text):
    found = {}
    at = 0
    while at < len(text):
        match = ATTRIBUTE.match(text, at)
        assert match, f"not an attribute list: {text}"
        assert match[1] not in found, f"an attribute twice: {text}"
        found[match[1]] = match[2].strip('"')
        at = match.end()
    return found


def parse(text):
    """The playlist, if it keeps all rules that can be seen in one alone."""
    if not text.startswith("#EXTM3U\n") or not text.endswith("\n"):
        raise Broken(f"4.3.1.1: #EXTM3U is the first line, and lines end with a line feed:\n{text}")
    lines = [line for line in text.splitlines() if line]
    tags = [line[1:].partition(":") for line in lines if line.startswith("#EXT")]
    heads = {}
    for name, _, value in tags:
        if name not in KNOWN:
            raise Broken(f"unknown tag {name}:\n{text}")
        if name in ONCE:
            if name in heads:
                raise Broken(f"{name} twice:\n{text}")
            heads[name] = value
    try:
        playlist = Playlist(
            text=text,
            target=int(heads["EXT-X-TARGETDURATION"]),
            part_target=float(attributes(heads["EXT-X-PART-INF"])["PART-TARGET"]),
            control=attributes(heads["EXT-X-SERVER-CONTROL"]),
            sequence=int(heads["EXT-X-MEDIA-SEQUENCE"]),
            discontinuity_sequence=int(heads.get("EXT-X-DISCONTINUITY-SEQUENCE", 0)),
            independent=any(name == "EXT-X-INDEPENDENT-SEGMENTS" for name, _, _ in tags),
            segments=[],
        )
        _read_segments(playlist, lines)
    except (KeyError, ValueError, AssertionError) as error:
        if isinstance(error, Broken):
            raise
        raise Broken(f"{type(error).__name__} {error}:\n{text}") from None
    _check(playlist, int(heads["EXT-X-VERSION"]))
    return playlist


def _read_segments(playlist, lines):
    number = playlist.sequence
    discontinuity = playlist.discontinuity_sequence
    current_map = date = duration = None
    parts = []

    def segment(uri):
        playlist.segments.append(
            Segment(number, current_map, discontinuity, date, uri, duration, parts)
        )

    for line in lines:
        name, _, value = line[1:].partition(":")
        if not line.startswith("#"):
            playlist.require(duration is not None, "4.3.2.1: a segment has an EXTINF")
            segment(line)
            number += 1
            date = duration = None
            parts = []
        elif name == "EXT-X-DISCONTINUITY":
            playlist.require(not parts, "a discontinuity within a segment")
            discontinuity += 1
        elif name == "EXT-X-MAP":
            current_map = attributes(value)["URI"]
        elif name == "EXT-X-PROGRAM-DATE-TIME":
            date = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
        elif name == "EXTINF":
            duration = float(value.partition(",")[0])
        elif name == "EXT-X-PART":
            part = attributes(value)
            independent = part.get("INDEPENDENT") == "YES"
            parts.append(Part(part["URI"], float(part["DURATION"]), independent))
        elif name == "EXT-X-PRELOAD-HINT":
            hint = attributes(value)
            playlist.require(hint["TYPE"] == "PART" and not playlist.hint, "one hint of a part")
            playlist.hint = hint["URI"]
    if parts:
        segment(None)


def _check(playlist, version):
    require = playlist.require
    parts = [part for segment in playlist.segments for part in segment.parts]
    names = [part.uri for part in parts] + [s.uri for s in playlist.finished]
    require(version >= 9, "4.3.1.2: the version that the tags need")
    require(playlist.segments, "a playlist has something to play")
    require(len(set(names)) == len(names), "each name stands for one thing")
    for segment in playlist.segments:
        require(segment.map, "4.3.2.5: fragmented MP4 has an EXT-X-MAP")
        require(segment.date, "authoring 8.12: live segments have a date")
        if segment.uri:
            require(segment.duration > 0, "an empty segment")
            rounded = math.floor(segment.duration + 0.5)
            require(rounded <= playlist.target, "4.3.3.1: EXTINF rounds to the target at most")
            total = sum(part.duration for part in segment.parts)
            require(
                not segment.parts or abs(total - segment.duration) < 1e-4,
                "the parts of a segment add up to it",
            )
        for part in segment.parts:
            require(0 < part.duration <= playlist.part_target, "bis 4.4.4.9: at most PART-TARGET")
        for part in segment.parts[:-1]:
            # What this server promises where pictures come evenly; gaps end parts early.
            require(part.duration > 0, "an empty part")
        if playlist.independent and segment.parts:
            require(segment.parts[0].independent, "4.3.5.1: each segment begins with a key unit")
    if len(playlist.finished) > 3:
        rest = sum(segment.duration for segment in playlist.finished)
        require(rest >= 3 * playlist.target, "6.2.2: at least three target durations")
    old = [segment for segment in playlist.finished[:-4] if segment.parts]
    require(not old, "bis 6.2.2: parts of old segments are removed")
    control = playlist.control
    require(control.get("CAN-BLOCK-RELOAD") == "YES", "bis B.1: low latency needs blocking reload")
    require(float(control["HOLD-BACK"]) >= 3 * playlist.target, "bis 4.4.3.8: HOLD-BACK")
    require(
        float(control["PART-HOLD-BACK"]) >= 3 * playlist.part_target - 1e-6,
        "bis 4.4.3.8: PART-HOLD-BACK should be three parts",
    )
    require(playlist.hint, "bis B.1: low latency needs a preload hint")
    require(playlist.hint not in names, "the hint names what is not there yet")


class History:
    """All playlists that one player got, in their order."""

    def __init__(self):
        self.newest = None
        self.segments = {}  # by media sequence number
        self.changes = 0

    def add(self, text):
        """Checks the next playlist and returns it."""
        playlist = parse(text)
        before = self.newest
        if before:
            self._compare(before, playlist)
        for segment in playlist.segments:
            self._keep(playlist, segment)
        self.newest = playlist
        return playlist

    def _compare(self, before, playlist):
        require = playlist.require
        require(playlist.target == before.target, "6.2.1: TARGETDURATION must not change")
        require(playlist.part_target == before.part_target, "PART-TARGET must not change")
        require(playlist.sequence >= before.sequence, "6.2.2: the sequence never goes back")
        require(
            playlist.discontinuity_sequence >= before.discontinuity_sequence,
            "6.2.2: the discontinuity sequence never goes back",
        )
        newest = [(s.number, len(s.parts)) for s in before.segments][-1][0]
        require(playlist.segments[-1].number >= newest, "segments do not disappear at the end")
        removed = [s for s in before.finished if s.number < playlist.sequence]
        tags = len({s.discontinuity for s in removed} - {before.discontinuity_sequence})
        if removed and playlist.sequence <= before.segments[-1].number:
            require(
                playlist.discontinuity_sequence == before.discontinuity_sequence + tags,
                "6.2.2: a discontinuity that is removed is counted",
            )
        self.changes += playlist.text != before.text

    def _keep(self, playlist, segment):
        """A segment never changes, except that parts are added, and later removed."""
        known = self.segments.setdefault(segment.number, segment)
        require = playlist.require
        for field in ("map", "date", "discontinuity"):
            same = getattr(known, field) == getattr(segment, field)
            require(same, f"6.2.1: {field} of segment {segment.number} has changed")
        if known.uri:
            require(segment.uri == known.uri, f"segment {segment.number} has another name")
            require(segment.duration == known.duration, "the duration of a segment has changed")
        shared = min(len(known.parts), len(segment.parts))
        require(segment.parts[:shared] == known.parts[:shared], "a part has changed")
        require(not known.uri or len(segment.parts) in (0, len(known.parts)), "parts: all or none")
        if segment.uri or len(segment.parts) > len(known.parts):
            parts = segment.parts or known.parts
            self.segments[segment.number] = dataclasses.replace(segment, parts=parts)

    def check_dates(self, tolerance=0.25):
        """Dates and durations agree where there is no discontinuity."""
        numbers = sorted(self.segments)
        for one, two in zip(numbers, numbers[1:]):
            a, b = self.segments[one], self.segments[two]
            if two != one + 1 or a.discontinuity != b.discontinuity or not a.duration:
                continue
            step = (b.date - a.date).total_seconds()
            if abs(step - a.duration) > tolerance:
                raise Broken(f"{one} lasts {a.duration} s, but {two} begins {step} s later")
