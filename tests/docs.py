#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Checks the pages of the project, and prints each mistake with its file and line:

- A line of Markdown has at most 100 characters. Tables, code blocks, and lines that are only a
  link or a URL may be longer.
- Every relative link leads to a file, and to a heading if it names one.
- Every path, test, option, make target and identifier that a page or a manual names exists. An
  identifier is a word with an underscore; it must occur in a source file.
- The web page has the lines of docs/PLAYERS.md over RTSP and HTTP, and how old a picture is there
  from docs/BENCHMARKS.md.
"""
import glob
import os
import re
import sys

WIDTH = 100
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
# Examples, and names of other projects that only the text needs.
FOREIGN = {"handle_x", "icsk_probes_tstamp", "module_verb_object", "mosquitto_rr",
           "netcam_userpass", "x_create"}
# Words that stand for any name, as in tests/unit/test_MODULE.c.
PLACEHOLDER = re.compile(r"\b[A-Z]+\b|(?<=_)[A-Z]+")
FOLDERS = "src|tests|docs|bench|include|wrapper|examples|\\.ci"

PATH = re.compile(rf"(?<![\w/.-])(?:(?:\.\./)*|build/)(?:{FOLDERS})/[\w.*/-]*[\w*/]")
TEST = re.compile(r"\btest_[a-z0-9_]+(?![\w.*/])")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]+")
TARGET = re.compile(r"\bmake (?:[A-Z]+=(?:\"[^\"]*\"|[^\s\"]*) )*([a-z][a-z0-9-]+)")
NAME = re.compile(r"(?<![\w/.$-])[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)+(?![\w/-])")
LINK = re.compile(r"\]\(([^)\s]+)\)")
LONE_LINK = re.compile(r"\s*(?:[-*] )?(?:!?\[[^]]*\]\([^)]*\)|<?https?://\S+)[.,;]?\s*")


def files(folder="."):
    """Yields the paths of all files of the project in a folder, without those of a build."""
    for where, folders, names in os.walk(folder):
        folders[:] = [f for f in folders
                      if not f.startswith("build") and f not in (".git", "__pycache__")]
        for name in names:
            yield os.path.normpath(os.path.join(where, name))


def read(name):
    with open(name, encoding="utf-8", errors="replace") as file:
        return file.read()


def lines_of(name):
    """Yields (number, line, whether it is inside a code block) for each line."""
    inside = False
    for number, line in enumerate(read(name).split("\n"), 1):
        fence = line.lstrip().startswith("```")
        yield number, line, inside or fence
        inside ^= fence


def heading_ids(name):
    """The anchors of a page, made as GitHub makes them."""
    headings = (line.lstrip("#").strip() for _, line, code in lines_of(name)
                if line.startswith("#") and not code)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def path_exists(path, page):
    path = PLACEHOLDER.sub("*", path)
    if path.startswith("build/"):
        path = path[len("build/"):]
        if path.endswith(".json"):
            return True
    beside = os.path.join(os.path.dirname(page), path)
    return any(map(glob.glob, (path, path + ".c", beside)))


def check_link(page, target):
    if re.match(r"[a-z]+:", target):
        return None
    path, _, anchor = target.partition("#")
    path = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
    if not os.path.exists(path):
        return f"no file {path}"
    if anchor and anchor not in heading_ids(path):
        return f"no heading #{anchor} in {path}"
    return None


class Sources:
    """The words, options and targets that the files of the project define."""

    def __init__(self):
        names = [n for n in files() if not re.search(r"\.(md|svg|png|[158])$", n)
                 and n != "tests/docs.py" and not n.startswith("tests/fuzz/corpus")]
        # `make lint-status` checks this page: its metrics are put together in the program.
        text = "\n".join(map(read, names + ["docs/STATUS.md"]))
        self.words = set(re.findall(r"\w+", text)) | {os.path.basename(n) for n in names}
        self.words |= {os.path.splitext(os.path.basename(n))[0] for n in names}
        self.options = set(re.findall(r"--([a-z][a-z0-9-]+)", text))
        self.options |= set(re.findall(r'"([a-z][a-z0-9-]+)"', text))
        self.targets = {t for line in re.findall(r"^([a-z][\w -]*):(?!=)", read("Makefile"), re.M)
                        for t in line.split()}

    def missing(self, page, text):
        """Yields each thing that text, from a page, names and that does not exist."""
        for path in PATH.findall(text):
            if not path_exists(path, page):
                yield f"no path {path}"
        for test in TEST.findall(text):
            if test not in self.words:
                yield f"no test {test}"
        for option in OPTION.findall(text):
            if option[2:] not in self.options:
                yield f"no option {option}"
        for target in TARGET.findall(text):
            if target not in self.targets:
                yield f"no make target {target}"
        for name in NAME.findall(text):
            if name not in self.words and name not in FOREIGN and not name.startswith("test_"):
                yield f"no identifier {name}"


def check_page(page, sources):
    for number, line, code in lines_of(page):
        place = f"{page}:{number}"
        table = line.startswith("|")
        if len(line) > WIDTH and not code and not table and not LONE_LINK.fullmatch(line):
            yield f"{place}: {len(line)} characters; at most {WIDTH}"
        if not code:
            for target in LINK.findall(line):
                wrong = check_link(page, target)
                if wrong:
                    yield f"{place}: {wrong}"
        named = line if code else "\n".join(re.findall(r"`([^`]+)`", line))
        for wrong in sources.missing(page, named):
            yield f"{place}: {wrong}"


def check_manual(page, sources):
    for number, line, _ in lines_of(page):
        text = re.sub(r"\bFl -", "--", line).replace("\\-", "-")
        for wrong in sources.missing(page, text):
            yield f"{page}:{number}: {wrong}"


def table_below(page, heading):
    """The rows, as lists of cells, of the first table of a page behind a line that begins so."""
    text = read(page)
    rows = re.search(r"^\|.*\n\|[-:| ]+\|\n((?:\|.*\n)+)", text[text.index(heading):], re.M)[1]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows.splitlines()]


def lines_of_page():
    """Of the web page: player, way, line, age. A line is a text, a template, or the name of one."""
    page = read("src/web/details.js")
    names = dict(re.findall(r"(\w+) = '([^']*)'", page))
    rows = re.search(r"const PLAYERS = \[\n(.*?)^\];", page, re.M | re.S)[1]
    for player, *fields in re.findall(r"\['(\w+)'" + 4 * r",\s*([^,\]]*)" + r"\]", rows):
        for way, text, age in (("HTTP", *fields[:2]), ("RTSP", *fields[2:])):
            line = names.get(text, text.strip("'`"))
            line = re.sub(r"\$\{(\w+)\}", lambda name: names[name[1]], line)
            if line:
                yield player, way, line, age


def check_players():
    """The ways to show a stream in other programs, which are in three places."""
    low = "-fflags nobuffer -flags low_delay"
    ages = {row[0].split()[0]: row[1:]
            for row in table_below("docs/BENCHMARKS.md", "## How old a picture is at a player")}
    places = (2, "RTSP", "rtsp://HOST:8554/front"), (3, "HTTP", "http://HOST:8080/front.ts")
    expected = set()
    for player, *lines in table_below("docs/PLAYERS.md", "# Players"):
        for column, way, url in places:
            line = lines[column - 1].strip("`").replace(url, "URL")
            line = line.replace("ffmpeg LOW", f"ffmpeg {low} -probesize 32 -analyzeduration 0")
            if "URL" in line:
                age = ages[player][column - 1].split()[0]
                expected.add((player, way, line.replace("LOW", low), age))
    for one in sorted(expected ^ set(lines_of_page())):
        does, do = ("lacks", "have") if one in expected else ("has", "lack")
        yield (f"src/web/details.js: {does} {one}, which docs/PLAYERS.md and docs/BENCHMARKS.md "
               f"{do}")


def main():
    os.chdir(ROOT)
    sources = Sources()
    mistakes = []
    for page in sorted(n for n in files() if n.endswith(".md")):
        mistakes += check_page(page, sources)
    for page in sorted(files("docs/man")):
        mistakes += check_manual(page, sources)
    mistakes += check_players()
    print("\n".join(mistakes), end="\n" if mistakes else "")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
