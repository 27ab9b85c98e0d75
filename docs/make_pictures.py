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
from sqlalchemy import insert, select

_ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(_ROOT / "tests"), str(_ROOT / "benchmarks")]

import typical  # noqa: E402
from sitekeeper_collector.domain import tickets  # noqa: E402
from sitekeeper_collector.ingest.messages import Inbound  # noqa: E402
from sitekeeper_collector.ingest.pipeline import Ingest  # noqa: E402
from sitekeeper_collector.store import sight, tables  # noqa: E402
from sitekeeper_collector.store.engine import Store, open_store  # noqa: E402
from sitekeeper_collector.web.server import ConsoleServer  # noqa: E402
from sitekeeper_protocol import codec, topics  # noqa: E402
from sitekeeper_protocol.messages import Clock, Presence, Sample, Status  # noqa: E402
from sitekeeper_protocol.sitecode import encode  # noqa: E402
from sitekeeper_protocol.vocabulary import Grade, Kind, Metric, Party, Reason, Rung, State  # noqa: E402
from support.browser import Browser, chromium  # noqa: E402
from support.cases import DAY_MS, HOUR_MS, MINUTE_MS, Cases  # noqa: E402
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
MAILS = _ROOT / "tests" / "collector" / "notify" / "golden"
"""Mails as the templates make them; a test holds them to it."""
PICTURES = (
    ("overview", "", 820),
    ("tickets", "tickets?state=all", 640),
    ("ticket", "tickets/{ticket}", 1180),
    ("decoder", "decoder?site=v003&code={code}", 860),
    ("site", "sites/v002", 1100),
)
SUSPECTED = 8
NEIGHBOURS = tickets.Evidence(facts=(("access_node", "OLT-石桥-1"), ("neighbours_gone", "3/3")))
FAULTY = 1
"""The site whose ticket is shown."""


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
        site, heard_ms = site_id(at), now_ms() - (LONG_AGO_MS if at in (*SILENT, *SWITCHED_OFF) else 0)
        taken = tuple(islice(typical.samples(random.Random(at)), 8))
        if at == NAMES_FAIL:
            taken = taken[:4] + tuple(failing(one, Rung.ISP, Reason.TIMEOUT) for one in taken[4:])
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
            "loid": f"LOID{77120 + at * 7}",
            "line_phone": f"0371-555{2200 + at}",
            "contacts": "王芳 0371-5550101 wang@qingshan.example",
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
        happened(Cases(store, now_ms()))
        yield store
    finally:
        store.close()


def happened(county: Cases) -> None:
    """What is wrong in the county, and how one site's week was."""
    lead = county.open(
        "v004", Kind.AREA_OUTAGE, party=Party.TELECOM, grade=Grade.INFERRED, ago_ms=42 * MINUTE_MS, rests_on=NEIGHBOURS
    )
    for site in ("v005", "v006"):
        county.open(
            site, Kind.LINE_SUSPECTED, grade=Grade.INFERRED, ago_ms=41 * MINUTE_MS, parent=lead.number, rests_on=NEIGHBOURS
        )
    line = county.open(site_id(FAULTY), Kind.LINE_DOWN, ago_ms=3 * HOUR_MS)
    county.fault(site_id(FAULTY), Kind.LINE_DOWN, ago_ms=3 * HOUR_MS, ticket=line.number)
    county.take(line, tickets.acknowledge, by="王芳")
    county.take(line, tickets.comment, by="王芳", text="已报电信，单号 DX20261125-0871，预计今天下午修复。")
    county.open("v010", Kind.PORTAL_DOWN, ago_ms=50 * MINUTE_MS)
    county.open("v003", Kind.MODEM_DOWN, ago_ms=95 * MINUTE_MS)
    county.open("v001", Kind.DISK_FULL, ago_ms=26 * HOUR_MS)
    old = county.open("v012", Kind.LINE_DOWN, ago_ms=30 * HOUR_MS)
    county.take(old, tickets.recover, ended_ms=county.now_ms - 20 * HOUR_MS)
    county.absent(site_id(SUSPECTED), suspected_ms=county.now_ms - 40 * MINUTE_MS, playing=True)
    county.absent("v004")
    county.absent("v006", ago_ms=2 * HOUR_MS)
    _week(county, site_id(FAULTY))


def _week(county: Cases, site: str) -> None:
    today = county.now_ms - (county.now_ms + 8 * HOUR_MS) % DAY_MS
    county.blind(today - 4 * DAY_MS + 13 * HOUR_MS, today - 4 * DAY_MS + 18 * HOUR_MS)
    for back in range(6, 0, -1):
        nine = today - back * DAY_MS + 9 * HOUR_MS
        morning: list[tuple[int, int, State, Kind | None]] = [(nine, nine + 2 * HOUR_MS + back * 9 * MINUTE_MS, State.OK, None)]
        fault = {5: Kind.LINE_DOWN, 3: Kind.PORTAL_DOWN, 2: Kind.GATEWAY_DOWN}.get(back)
        if fault is not None:
            start = morning[-1][1]
            morning += [(start, start + 70 * MINUTE_MS, State.FAIL, fault)]
            morning += [(start + 70 * MINUTE_MS, start + 4 * HOUR_MS, State.OK, None)]
        county.record(site, morning, run=100 - back, goodbye=back % 2 == 0)
        if back % 2:
            county.absent(site, ago_ms=county.now_ms - morning[-1][1], to_ms=nine + DAY_MS, concluded_ms=nine + DAY_MS)
    county.record(site, [(county.now_ms - 3 * HOUR_MS, county.now_ms, State.FAIL, Kind.LINE_DOWN)], run=200)


def site_id(at: int) -> str:
    """The id of the ``at``-th site."""
    return f"v{at + 1:03}"


def shown_ticket(store: Store) -> str:
    """The number of the ticket whose page is shown."""
    with store.read() as connection:
        wanted = select(tables.tickets.c.number).where(tables.tickets.c.site == site_id(FAULTY))
        return str(connection.execute(wanted).scalar_one())


def shoot(browser: Browser, console: ConsoleServer, language: str, ticket: str) -> None:
    """All pictures in one language."""
    code = encode(site="v003", kind=Kind.MODEM_DOWN, rung=None, minutes=95)
    assert console.first_password is not None
    browser.open(console.address)
    browser.type("input[name=user]", "admin")
    browser.type("input[name=password]", console.first_password)
    browser.click("form.login button")
    wait_until(lambda: browser.address == console.address, "signed in")
    for name, path, height in PICTURES:
        browser.resize(1100, height)
        browser.open(console.address + path.format(ticket=ticket, code=code))
        browser.picture(OUT / f"{name}-{language}.png")
    browser.resize(700, 1000)
    browser.open((MAILS / f"line_down_opened.{language}.html").as_uri())
    browser.picture(OUT / f"mail-{language}.png")


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
                    shoot(browser, console, language, shown_ticket(store))
                console.stop()
    for file in sorted(OUT.glob("*.png")):
        print(f"{file.relative_to(_ROOT)}  {file.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
