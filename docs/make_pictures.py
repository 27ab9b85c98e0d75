"""Makes the pictures of README and docs: a real console over a small county, in a real Chromium. `make pictures` runs it."""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from msgspec.structs import replace
from sqlalchemy import insert

_ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(_ROOT / "tests"), str(_ROOT / "benchmarks")]

import typical  # noqa: E402
from sitekeeper_collector.ingest.messages import Inbound  # noqa: E402
from sitekeeper_collector.ingest.pipeline import Ingest  # noqa: E402
from sitekeeper_collector.store import sight, tables  # noqa: E402
from sitekeeper_collector.store.engine import Store, open_store  # noqa: E402
from sitekeeper_collector.web.server import ConsoleServer  # noqa: E402
from sitekeeper_protocol import codec, topics  # noqa: E402
from sitekeeper_protocol.messages import Clock, Presence, Sample, Status  # noqa: E402
from sitekeeper_protocol.vocabulary import Metric, Reason, Rung, State  # noqa: E402
from support.browser import Browser, chromium  # noqa: E402
from support.wait import wait_until  # noqa: E402

OUT = Path(__file__).parent / "pictures"
SITES = tuple(
    (village + "村", township)
    for township, villages in (
        ("清水镇", ("清水", "上河", "河湾")),
        ("石桥乡", ("石桥", "大槐树", "杨树沟")),
        ("北沟镇", ("北沟", "张家湾", "李家坪")),
        ("东风镇", ("东风", "红星", "新民")),
    )
    for village in villages
)
NAMES_FAIL, PORTAL_FAILS, SILENT, SWITCHED_OFF, NEVER = 1, 7, (3, 5, 8), (9,), (11,)
LONG_AGO_MS = 3_600_000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def failing(sample: Sample, rung: Rung, reason: Reason) -> Sample:
    """``sample`` as it would be if ``rung`` failed and nothing above could be told."""
    values = dict(sample.values)
    for above in Rung:
        key = (Metric.RUNG_STATE.value, f"ipv4/{above.name.lower()}")
        if key in values and above >= rung:
            values[key] = int(State.FAIL if above == rung else State.SILENT)
            values.pop((Metric.RUNG_RTT_MS.value, key[1]), None)
    values |= {(Metric.RUNG_REASON.value, f"ipv4/{rung.name.lower()}"): reason.value}
    values |= {(Metric.VERDICT_STATE.value, ""): State.FAIL.value, (Metric.VERDICT_RUNG.value, ""): rung.value}
    return replace(sample, values=values)


def messages() -> Iterator[Inbound]:
    """What the county has sent."""
    for at in range(len(SITES)):
        if at in NEVER:
            continue
        site, heard_ms = f"v{at + 1:03}", now_ms() - (LONG_AGO_MS if at in (*SILENT, *SWITCHED_OFF) else 0)
        taken = tuple(islice(typical.samples(random.Random(at)), 8))
        if at == NAMES_FAIL:
            taken = taken[:4] + tuple(failing(one, Rung.DNS, Reason.TIMEOUT) for one in taken[4:])
        if at == PORTAL_FAILS:
            taken = taken[:6] + tuple(failing(one, Rung.PORTAL, Reason.HTTP_SERVER_ERROR) for one in taken[6:])
        made = typical.report(taken, site=site, run=at + 1, boot=at + 1, number=1)
        made = replace(made, clock=Clock(heard_ms - taken[-1].boottime_ms - 40, 38))
        yield Inbound(topics.topic("qs", site, topics.Leaf.REPORT), codec.encode_report(made), heard_ms)
        if at in SWITCHED_OFF:
            goodbye = codec.encode(Status(1, Presence.STOPPING, at + 1, 3, "shutdown", heard_ms))
            yield Inbound(topics.topic("qs", site, topics.Leaf.STATUS), goodbye, heard_ms)


@contextmanager
def county(folder: Path) -> Iterator[Store]:
    """The store of a small county."""
    store = open_store(f"sqlite:///{folder / 'county.db'}")
    rows = [
        {
            "id": f"v{at + 1:03}",
            "name": name,
            "county": "青山县",
            "township": township,
            "access_node": f"OLT-{township[:2]}-{at % 3 // 2 + 1}",
            "line_number": f"QS{4400 + at * 37}",
            "account": f"0371{880100 + at * 13}",
            "contacts": "王芳 0371-5550101",
            "hours": "Mon-Fri 09:00-17:00",
            "added_ms": 1,
            "changed_ms": 1,
        }
        for at, (name, township) in enumerate(SITES)
    ]
    try:
        with store.write() as connection:
            connection.execute(insert(tables.sites), rows)
            sight.beat(connection, now_ms())
        Ingest(store, wall_ms=now_ms, steady_ms=now_ms).process(list(messages()))
        yield store
    finally:
        store.close()


def shoot(browser: Browser, console: ConsoleServer, language: str) -> None:
    """All pictures in one language."""
    assert console.first_password is not None
    browser.open(console.address)
    browser.type("input[name=user]", "admin")
    browser.type("input[name=password]", console.first_password)
    browser.click("form.login button")
    wait_until(lambda: browser.address == console.address, "signed in")
    for name, path, height in (("overview", "", 680), ("site", "sites/v002", 720)):
        browser.resize(1100, height)
        browser.open(console.address + path)
        browser.picture(OUT / f"{name}-{language}.png")


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for language in ("zh", "en"):
            (folder / language).mkdir()
            with county(folder / language) as store:
                console = ConsoleServer(store, host="127.0.0.1", port=0, wall_ms=now_ms, blind_after_s=3600)
                console.start()
                with chromium(folder / f"browser-{language}", "zh-CN" if language == "zh" else "en") as browser:
                    shoot(browser, console, language)
                console.stop()
    for file in sorted(OUT.glob("*.png")):
        print(f"{file.relative_to(_ROOT)}  {file.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
