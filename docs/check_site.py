"""Open every page of the built documentation in a headless browser, and list what is wrong.

Run ``python docs/check_site.py docs/_build/html`` after a build. Each page is opened on a phone in
dark colours and on a desktop in light ones. Listed are: text that leaves its column or is cut off,
formulas and tables that open scrolled, numbers on several lines, text of little contrast, light
boxes in the dark, pictures without alternative text, errors in the console, files that are loaded
from the network, links that lead nowhere, and words that the search must find but does not. Nothing
is checked where no Chromium is installed.

The browser is driven by its DevTools protocol through a pair of pipes, for which the standard
library is enough.
"""

import argparse
import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

SCREENS = {"phone": (390, 844, "dark"), "desktop": (1280, 900, "light")}
SEARCHES = ("offline", "delete", "GPU", "FAQ", "faiss", "memory", "Chinese")
MEASURE = (Path(__file__).parent / "_measure.js").read_text(encoding="utf-8")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--remote-debugging-pipe"),
)
PATIENCE = 60  # seconds for one command


def find_browser():
    """Return the path of a Chromium that pipes can drive, or None."""
    if os.name != "posix":
        return None
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """A headless Chromium with one tab."""

    def __init__(self, path):
        import fcntl  # not on Windows

        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        commands, self.commands = os.pipe()
        self.replies, replies = os.pipe()
        # The browser takes its commands from descriptor 3 and replies to descriptor 4.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (commands, replies)]
        os.close(commands)
        os.close(replies)
        self.process = subprocess.Popen(
            [path, *OPTIONS, f"--user-data-dir={self.profile.name}", "about:blank"],
            pass_fds=(3, 4),
            preexec_fn=lambda: [os.dup2(end, 3 + i) for i, end in enumerate(ends)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in ends:
            os.close(end)
        self.buffer, self.events, self.number, self.session = b"", [], 0, None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        """Return the browser."""
        return self

    def __exit__(self, *_):
        """Close the browser."""
        self.process.terminate()
        self.process.wait()
        os.close(self.commands)
        os.close(self.replies)
        self.profile.cleanup()

    def call(self, method, **params):
        """Send a command and return its result; events that arrive meanwhile are kept."""
        self.number += 1
        command = {"id": self.number, "method": method, "params": params}
        if self.session:
            command["sessionId"] = self.session
        message = json.dumps(command).encode() + b"\0"
        while message:
            message = message[os.write(self.commands, message) :]
        reply = self._wait(lambda message: message.get("id") == self.number, method)
        if "error" in reply:
            raise RuntimeError(f"{method}: {reply['error']['message']}")
        return reply["result"]

    def _wait(self, wanted, what):
        deadline = time.monotonic() + PATIENCE
        while True:
            while b"\0" in self.buffer:
                message, self.buffer = self.buffer.split(b"\0", 1)
                message = json.loads(message)
                if "method" in message:
                    self.events.append(message)
                if wanted(message):
                    return message
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.replies], [], [], left)[0]:
                raise TimeoutError(f"the browser did not answer within {PATIENCE} s: {what}")
            chunk = os.read(self.replies, 1 << 20)
            if not chunk:
                raise RuntimeError("the browser ended.")
            self.buffer += chunk

    def open(self, address):
        """Load a page, and wait until it is complete."""
        self.events.clear()
        self.call("Page.navigate", url=address)
        if not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._wait(lambda m: m.get("method") == "Page.loadEventFired", address)

    def run(self, script):
        """Return the value of an expression in the page."""
        reply = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in reply:
            raise RuntimeError(reply["exceptionDetails"]["exception"]["description"])
        return reply["result"].get("value")

    def show(self, screen):
        """Take the width and the colours of a screen."""
        width, height, colours = SCREENS[screen]
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=screen == "phone",
        )
        media = {"prefers-color-scheme": colours, "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in media.items()]
        self.call("Emulation.setEmulatedMedia", features=features)

    def errors(self):
        """Return the errors of the console, and the files that were loaded from the network."""
        for event in self.events:
            method, params = event["method"], event["params"]
            if method == "Runtime.exceptionThrown":
                yield "an exception: " + params["exceptionDetails"]["text"]
            elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
                yield "an error in the console: " + str(params["args"][:1])
            elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
                entry = params["entry"]
                yield f"an error in the console: {entry['text']} {entry.get('url', '')}"
            elif method == "Network.requestWillBeSent":
                url = params["request"]["url"]
                if url.startswith(("http:", "https:")):
                    yield f"loaded from the network: {url}"

    def picture(self, path):
        """Save the whole page as a PNG file."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))


class Links(HTMLParser):
    """What a page links to, and the places in it that can be linked to."""

    def __init__(self, page):
        super().__init__()
        self.targets, self.anchors = set(), {"", "top"}
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        """Note the links and the anchors of a tag."""
        attrs = dict(attrs)
        self.anchors.update(filter(None, (attrs.get("id"), attrs.get("name"))))
        self.targets.update(filter(None, (attrs.get("href"), attrs.get("src"))))


def pages(folder):
    """Return the pages of a site; what lies in ``_static`` belongs to the theme."""
    return [page for page in sorted(folder.rglob("*.html")) if "_static" not in page.parts]


def broken_links(folder):
    """Yield (page, link) for links within the site that lead nowhere."""
    links = {page: Links(page) for page in pages(folder)}
    for page, found in links.items():
        for target in sorted(found.targets):
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            anchors = links[path].anchors if path in links else None
            anchor = unquote(parts.fragment).partition(":~:")[0]  # behind it is text to mark
            if not path.is_file() or (anchors and anchor not in anchors):
                yield page, target


def check_page(browser, page, screenshots=None):
    """Return what is wrong with a page, without repetition."""
    problems = {}
    browser.show("phone")
    browser.open(page.as_uri())
    for screen in SCREENS:
        browser.show(screen)
        for problem in browser.run(MEASURE):
            problems.setdefault(problem, []).append(screen)
        if screenshots:
            browser.picture(screenshots / f"{page.parent.name}-{page.stem}-{screen}.png")
    for error in browser.errors():
        problems.setdefault(error, [])
    return [f"{text} ({', '.join(on)})" if on else text for text, on in problems.items()]


def unfound(browser, folder, words):
    """Yield the words that the search of the site does not find."""
    for word in words:
        browser.open((folder / "search.html").as_uri() + f"?q={word}")
        deadline, found = time.monotonic() + PATIENCE, None
        script = "[document.querySelectorAll('#search-results li').length, "
        script += "document.querySelector('#search-results p.search-summary')?.textContent || '']"
        while time.monotonic() < deadline:
            found, summary = browser.run(script)
            if found or (summary and not summary.startswith(("Searching", "Preparing"))):
                break
            time.sleep(0.1)
        if not found:
            yield word


def check(folder, screenshots=None, searches=SEARCHES):
    """Return all that is wrong with a site, one line each."""
    folder = folder.resolve()
    lines = [
        f"{page.relative_to(folder)}: broken link: {link}" for page, link in broken_links(folder)
    ]
    with Browser(find_browser()) as browser:
        for page in pages(folder):
            problems = check_page(browser, page, screenshots)
            lines += [f"{page.relative_to(folder)}: {problem}" for problem in problems]
        lines += [
            f"search.html: nothing is found for {w}" for w in unfound(browser, folder, searches)
        ]
    return lines


def main():
    """Check the site that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="folder of the built pages")
    parser.add_argument("--screenshots", type=Path, help="folder for a picture of every page")
    options = parser.parse_args()
    if find_browser() is None:
        print("The pages were not checked: no Chromium is installed.")
        return 0
    if options.screenshots:
        options.screenshots.mkdir(parents=True, exist_ok=True)
    lines = check(options.folder, options.screenshots)
    print("\n".join(lines) or "All pages were opened: nothing to report.")
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
