"""A site behind a router, as two network namespaces on a cable of their own (needs root)."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

GATEWAY, SITE, ANCHOR = "10.77.0.1", "10.77.0.2", "203.0.113.1"
GATEWAY6, SITE6 = "fd77::1", "fd77::2"


class Site(NamedTuple):
    """Names of the two namespaces."""

    pc: str
    router: str

    def on_pc(self, *command: str) -> str:
        return _run("ip", "netns", "exec", self.pc, *command)

    def on_router(self, *command: str) -> str:
        return _run("ip", "netns", "exec", self.router, *command)

    def python(self, code: str, *before: str) -> Any:
        """Run Python on the site's PC; ``code`` prints JSON. ``before`` stands before the interpreter (``setpriv ...``)."""
        return json.loads(self.on_pc(*before, sys.executable, "-c", code))


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


@contextmanager
def site() -> Iterator[Site]:
    """A PC with one cable to its router, a default route, and an anchor behind it; both families."""
    mark = uuid.uuid4().hex[:6]
    both = Site(f"sk-pc-{mark}", f"sk-router-{mark}")
    try:
        for name in both:
            _run("ip", "netns", "add", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
        _run("ip", "-n", both.pc, "link", "add", "eth0", "type", "veth", "peer", "name", "lan", "netns", both.router)
        for name, device, four, six in ((both.pc, "eth0", SITE, SITE6), (both.router, "lan", GATEWAY, GATEWAY6)):
            _run("ip", "-n", name, "address", "add", f"{four}/24", "dev", device)
            _run("ip", "-n", name, "address", "add", f"{six}/64", "dev", device, "nodad")
            _run("ip", "-n", name, "link", "set", device, "up")
        _run("ip", "-n", both.router, "address", "add", f"{ANCHOR}/32", "dev", "lo")
        _run("ip", "-n", both.pc, "route", "add", "default", "via", GATEWAY)
        _run("ip", "-n", both.pc, "-6", "route", "add", "default", "via", GATEWAY6)
        yield both
    finally:
        for name in both:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False, timeout=60)
