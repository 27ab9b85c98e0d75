"""A real Chromium without a window, driven by the few commands that tests need.

The protocol is WebDriver (https://www.w3.org/TR/webdriver2/), spoken to chromedriver.
"""

import base64
import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.wait import wait_until

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_FLAGS = (
    "--headless",
    "--no-sandbox",  # it runs as root in CI, on pages of our own
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


class Browser:
    """One window."""

    def __init__(self, driver: str, session: str) -> None:
        self._driver, self._session = driver, session

    def open(self, address: str) -> None:
        self._ask("POST", "url", {"url": address})

    @property
    def address(self) -> str:
        return str(self._ask("GET", "url"))

    @property
    def text(self) -> str:
        """What a reader sees."""
        return str(self.run("return document.body.innerText"))

    def run(self, script: str, *arguments: object) -> Any:
        return self._ask("POST", "execute/sync", {"script": script, "args": list(arguments)})

    def type(self, selector: str, text: str) -> None:
        self._ask("POST", f"element/{self._find(selector)}/value", {"text": text})

    def click(self, selector: str) -> None:
        self._ask("POST", f"element/{self._find(selector)}/click", {})

    def resize(self, width: int, height: int) -> None:
        self._ask("POST", "window/rect", {"width": width, "height": height})

    def picture(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self._ask("GET", "screenshot")))

    def complaints(self) -> list[str]:
        """What the browser has written to its console since it was last asked: errors of scripts and of the content policy."""
        return [str(entry["message"]) for entry in self._ask("POST", "se/log", {"type": "browser"})]

    def _find(self, selector: str) -> str:
        return str(self._ask("POST", "element", {"using": "css selector", "value": selector})[_ELEMENT])

    def _ask(self, method: str, command: str, body: dict[str, object] | None = None) -> Any:
        return _call(method, f"{self._driver}/session/{self._session}/{command}", body)


def _call(method: str, address: str, body: dict[str, object] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"content-type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as err:
        raise AssertionError(f"{method} {address}: {json.load(err)['value']['message']}") from None


@contextmanager
def chromium(folder: Path, language: str = "en") -> Iterator[Browser]:
    """A Chromium with a new profile; it and its driver end with the block."""
    programs = [shutil.which(name) for name in ("chromedriver", "chromium")]
    assert all(programs), "chromium and chromium-driver are needed; `make test` names them"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "driver.log"
    with log.open("wb") as out:
        driver = subprocess.Popen([str(programs[0]), "--port=0"], stdout=out, stderr=subprocess.STDOUT)
    try:
        started = re.compile(rb"started successfully on port (\d+)")
        wait_until(lambda: started.search(log.read_bytes()), "the driver listens", 60)
        found = started.search(log.read_bytes())
        assert found is not None
        at = f"http://127.0.0.1:{int(found[1])}"
        options = {
            "binary": programs[1],
            "args": [*_FLAGS, f"--user-data-dir={folder / 'profile'}", f"--lang={language}"],
            "prefs": {"intl.accept_languages": language},
        }
        wanted = {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}
        session = str(_call("POST", f"{at}/session", {"capabilities": wanted})["sessionId"])
        try:
            yield Browser(at, session)
        finally:
            _call("DELETE", f"{at}/session/{session}")
    finally:
        driver.terminate()
        driver.wait(30)
