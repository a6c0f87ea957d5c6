# SPDX-License-Identifier: BSD-2-Clause
"""A real browser for tests, Debian's Chromium or Firefox without a window, and what is seen in it.

`make e2e` installs the modules of browser/package.json into the build folder; `make browser` does
only that.
"""
import json
import select
import subprocess
import time

import harness

DRIVER = harness.ROOT / "tests/e2e/browser/driver.mjs"
MODULES = harness.BUILD / "browser"

# Reads the number of the test pattern (include/camcast/pattern.h) from what an element shows:
# null if the picture is damaged or has no pattern.
READ_NUMBER = """
(element) => {
  const width = element?.videoWidth || element?.naturalWidth || element?.width;
  const height = element?.videoHeight || element?.naturalHeight || element?.height;
  if (!width || !height) return null;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', {willReadFrequently: true});
  context.drawImage(element, 0, 0, width, height);
  const row = context.getImageData(0, Math.floor(height / 32), width, 1).data;
  let bits = '';
  for (let block = 0; block < 32; block++) {
    const at = 4 * Math.floor((block + 0.5) * width / 32);
    bits += row[at] + row[at + 1] + row[at + 2] > 3 * 125 ? 1 : 0;
  }
  const number = parseInt(bits.slice(4, 20), 2);
  const check = (number >> 8) ^ (number & 255) ^ 0xa5;
  return bits.startsWith('1010') && bits.endsWith('0101') &&
    parseInt(bits.slice(20, 28), 2) === check ? number : null;
}
"""

# Waits for the next gap in the stream of a page with one camera over MSE: window.gap becomes
# {after: ms from the arrival of the key picture behind it to the first picture that is shown,
# picture: 0 if that is the key picture, 1 if it is the next one...}. Times are read from the
# fragments (tfdt, docs/API.md).
WATCH_GAP = """
(() => {
  const video = document.querySelector('video');
  const append = window.plainAppend ??= SourceBuffer.prototype.appendBuffer;
  const key = {};
  let last = null, step = Infinity;
  window.gap = null;
  const note = (buffer, bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at + 8 <= view.byteLength; at += view.getUint32(at) || Infinity) {
      if (view.getUint32(at + 4) !== 0x6d6f6f66) continue; // moof
      let box = at + 8;
      while (view.getUint32(box) !== 0x74666474) box++; // tfdt, of 64 bits
      const time = Number(view.getBigUint64(box + 8)) / 90000;
      if (last !== null && time - last > 2.5 * step && key.at === undefined)
        Object.assign(key, {at: performance.now(), time: time + buffer.timestampOffset});
      step = Math.min(step, last === null || time <= last ? Infinity : time - last);
      last = time;
    }
  };
  SourceBuffer.prototype.appendBuffer = function (bytes) {
    append.call(this, bytes);
    if (!window.gap) note(this, bytes);
  };
  const shown = (now, {mediaTime, expectedDisplayTime}) => {
    if (key.at === undefined || mediaTime < key.time - step / 2) {
      video.requestVideoFrameCallback(shown);
      return;
    }
    window.gap = {after: expectedDisplayTime - key.at,
      picture: Math.round((mediaTime - key.time) / step)};
  };
  video.requestVideoFrameCallback(shown);
})()
"""


class Browser:
    """One browser. Use as a context manager. trust: a folder with the authorities that it trusts
    besides its own: .pki/nssdb for Chromium, firefox, which becomes its profile, for Firefox."""

    def __init__(self, name, trust=None):
        assert (MODULES / "node_modules").exists(), "`make browser` installs what drives browsers"
        self.name = name
        self.process = harness.start(
            ["node", DRIVER, name, MODULES, *([trust] if trust else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.version = self._answer(60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(20 * harness.PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def _answer(self, timeout):
        if not select.select([self.process.stdout], [], [], timeout * harness.PATIENCE)[0]:
            raise harness.Failure(f"{self.name} did not answer")
        line = self.process.stdout.readline()
        if not line:
            raise harness.Failure(f"the driver of {self.name} ended")
        answer = json.loads(line)
        if "error" in answer:
            raise harness.Failure(f"{self.name}: {answer['error']}")
        return answer["value"]

    def do(self, command, timeout=30, **values):
        """Runs a command of driver.mjs."""
        self.process.stdin.write(json.dumps({"do": command, **values}) + "\n")
        self.process.stdin.flush()
        return self._answer(timeout)

    def open(self, url, page="page", **options):
        self.do("open", page=page, url=url, **options)
        return Tab(self, page)


class Tab:
    """An open page."""

    def __init__(self, browser, name):
        self.browser = browser
        self.name = name

    def evaluate(self, script):
        return self.browser.do("evaluate", page=self.name, script=script)

    def press(self, key):
        self.browser.do("press", page=self.name, key=key)

    def click(self, selector):
        self.browser.do("click", page=self.name, selector=selector)

    def reload(self):
        self.browser.do("reload", page=self.name)

    def screenshot(self, path):
        path.parent.mkdir(exist_ok=True)
        self.browser.do("screenshot", page=self.name, path=str(path))

    def show(self):
        """Brings it in front of the other tabs."""
        self.browser.do("show", page=self.name)

    def close(self):
        self.browser.do("close", page=self.name)

    def wait(self, script, what, timeout=15):
        """Waits for a script to be true, and returns its value."""
        deadline = time.monotonic() + timeout * harness.PATIENCE
        while not (value := self.evaluate(script)):
            if time.monotonic() > deadline:
                raise harness.Failure(
                    f"{self.browser.name}: no {what}; the page says: {self.text()}; "
                    f"{self.browser.do('messages')}"
                )
            time.sleep(0.05)
        return value

    def text(self):
        return self.evaluate("document.body.innerText")

    # --- the page of camcast ---

    def tile(self, camera):
        return f"document.querySelector('[data-camera={camera}]')"

    def state(self, camera):
        return self.evaluate(f"{self.tile(camera)}?.dataset.state")

    def wait_live(self, camera, timeout=20):
        self.wait(f"{self.tile(camera)}?.dataset.state === 'live'", f"picture of {camera}", timeout)

    def number(self, camera):
        """The number of the picture that is shown, None: there is none, or it is damaged."""
        return self.evaluate(
            f"({READ_NUMBER})({self.tile(camera)}?.querySelector('.picture > :not(.still)'))"
        )

    def wait_number(self, camera, than, timeout=20):
        """Waits for a whole picture with another number."""
        deadline = time.monotonic() + timeout * harness.PATIENCE
        while (number := self.number(camera)) in (None, than):
            if time.monotonic() > deadline:
                raise harness.Failure(
                    f"{self.browser.name}: {camera} still shows {number}: {self.text()}"
                )
            time.sleep(0.03)
        return number

    def numbers(self, camera, count):
        """The numbers of `count` different whole pictures, in the order in which they appear."""
        found = [self.wait_number(camera, None)]
        while len(found) < count:
            found.append(self.wait_number(camera, found[-1]))
        return found

    def facts(self, camera):
        """{transport, fps, lag (ms, or null), lags, dropped, reconnects, reason} of a player."""
        return self.evaluate(f"{self.tile(camera)}.facts()")
