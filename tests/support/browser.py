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
from functools import partial
from pathlib import Path
from typing import Any

from support.wait import wait_until

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_LEAST_WINDOW = 500
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
        """Another size of the window, or of the page alone where no window is so narrow."""
        self._ask("POST", "window/rect", {"width": width, "height": height})
        if width < _LEAST_WINDOW:
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
            self._ask("POST", "goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": size})
        else:
            self._ask("POST", "goog/cdp/execute", {"cmd": "Emulation.clearDeviceMetricsOverride", "params": {}})

    def picture(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self._ask("GET", "screenshot")))

    def switch_scripts_off(self) -> None:
        """Let pages that are opened from now on run no script; ``run`` still does."""
        self._ask("POST", "goog/cdp/execute", {"cmd": "Emulation.setScriptExecutionDisabled", "params": {"value": True}})

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


def _driver(program: str, log: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A driver and its port. It takes one that is free for IPv6 and wants it for IPv4 too, where it may be taken: again."""
    started = re.compile(rb"started successfully on port (\d+)")

    def listens_or_ends(process: subprocess.Popen[bytes]) -> bool:
        return process.poll() is not None or started.search(log.read_bytes()) is not None

    for _ in range(10):
        with log.open("wb") as out:
            driver = subprocess.Popen([program, "--port=0"], stdout=out, stderr=subprocess.STDOUT)
        wait_until(partial(listens_or_ends, driver), "the driver listens or ends", 60)
        found = started.search(log.read_bytes())
        if found is not None:
            return driver, int(found[1])
        driver.wait(30)
    raise AssertionError(log.read_text(errors="replace"))


@contextmanager
def chromium(folder: Path, language: str = "en") -> Iterator[Browser]:
    """A Chromium with a new profile; it and its driver end with the block."""
    programs = [shutil.which(name) for name in ("chromedriver", "chromium")]
    assert all(programs), "chromium and chromium-driver are needed; `make test` names them"
    folder.mkdir(parents=True, exist_ok=True)
    driver, port = _driver(str(programs[0]), folder / "driver.log")
    try:
        at = f"http://127.0.0.1:{port}"
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
