"""The mails that are kept as files, in both languages and forms; run it to write them anew, then look at what changed.

``PYTHONPATH=tests .venv/bin/python tests/collector/notify/golden_mails.py``
"""

import sys
from pathlib import Path

from msgspec.structs import replace

from sitekeeper_collector.domain.tickets import Closing, Evidence, NoticeEvent, TimelineEntry, What
from sitekeeper_collector.notify.mail import Rendered, render
from sitekeeper_collector.notify.view import Answering, LineIdentity, MailView
from sitekeeper_protocol.ladder import DIRECT, Reading
from sitekeeper_protocol.texts import LANGUAGES, Lang
from sitekeeper_protocol.vocabulary import Grade, Kind, Method, Party, Reason, Rung, Severity, State

FOLDER = Path(__file__).with_name("golden")
T0, MINUTE, HOUR = 1_780_000_000_000, 60_000, 3_600_000
TICKET = "SK-2026-000123"
OK, FAIL, SILENT = State.OK, State.FAIL, State.SILENT

METHODS = {
    Rung.LINK: Method.SYSTEM,
    Rung.ADDRESS: Method.SYSTEM,
    Rung.DNS: Method.UDP_QUERY,
    Rung.PORTAL: Method.HTTP,
    Rung.MEDIA: Method.HTTP,
}


def reading(rung: Rung, state: State, reason: Reason = Reason.NONE, *, target: str = "", label: str = "") -> Reading:
    """One of a site's readings."""
    method = METHODS.get(rung, Method.PING_SOCKET)
    rtt_ms = 1.2 if state is OK and rung >= Rung.GATEWAY else None
    return Reading(rung=rung, path="ipv4", state=state, reason=reason, rtt_ms=rtt_ms, method=method, target=target, label=label)


LINE_READINGS = (
    reading(Rung.LINK, OK),
    reading(Rung.ADDRESS, OK, target="192.168.1.23"),
    reading(Rung.GATEWAY, OK, target="192.168.1.1"),
    reading(Rung.MODEM, OK, target="192.168.100.1"),
    reading(Rung.ISP, FAIL, Reason.TIMEOUT, target="100.64.0.1"),
    reading(Rung.DNS, FAIL, Reason.SERVER_FAILURE, target="192.168.1.1"),
    reading(Rung.DNS, SILENT, Reason.NEVER_SUCCEEDED, target="202.102.224.68", label=DIRECT),
    reading(Rung.PORTAL, FAIL, Reason.UNREACHABLE, target="https://edu.example.cn/"),
    reading(Rung.MEDIA, State.NOT_APPLICABLE),
)
WELL_READINGS = tuple(reading(rung, OK) for rung in list(Rung)[:-1])


def entry(number: int, at_ms: int, who: str, what: What, **details: str | int) -> TimelineEntry:
    """One line of a timeline."""
    return TimelineEntry(ticket=TICKET, number=number, at_ms=at_ms, who=who, what=what, details=details)


OPENED = entry(1, T0, "", What.OPENED, kind="line_down", party="telecom", grade="proven")
LINE_DOWN = MailView(
    event=NoticeEvent.OPENED,
    ticket=TICKET,
    at_ms=T0 + 2 * MINUTE,
    site="0412",
    site_name="青山村远程教育站点",
    township="青山镇",
    kind=Kind.LINE_DOWN,
    party=Party.TELECOM,
    party_name="县电信公司装维班",
    grade=Grade.PROVEN,
    severity=Severity.CRITICAL,
    started_ms=T0 - 72 * MINUTE,
    line=LineIdentity(account="037112345678@edu", loid="GX0412000371", phone="13800001111"),
    evidence=Evidence(readings=LINE_READINGS, facts=(("samples", "4"),)),
    timeline=(OPENED,),
    answering=Answering(mail=True, phone="0371-5550101"),
)
SUSPECTED = replace(
    LINE_DOWN,
    kind=Kind.LINE_SUSPECTED,
    grade=Grade.INFERRED,
    severity=Severity.MAJOR,
    evidence=Evidence(
        facts=(
            ("last_heard", str(T0 - 72 * MINUTE)),
            ("class", "农村电商直播课"),
            ("class_until", str(T0 - 30 * MINUTE)),
            ("access_node", "青山OLT-02"),
            ("neighbours_gone", "4/5"),
        )
    ),
    timeline=(entry(1, T0, "", What.OPENED, kind="line_suspected", party="telecom", grade="inferred"),),
)
AREA = replace(
    LINE_DOWN,
    kind=Kind.AREA_OUTAGE,
    site="",
    site_name="",
    line=LineIdentity(),
    area="青山OLT-02",
    members=("青山村", "白石村", "柳林村", "河口村", *(f"第{number}村" for number in range(5, 15))),
    grade=Grade.INFERRED,
    evidence=Evidence(
        facts=(("dark_from", str(T0 - 72 * MINUTE)), ("neighbours_gone", "14/16"), ("members", "青山村、白石村"))
    ),
    timeline=(entry(1, T0, "", What.OPENED, kind="area_outage", party="telecom", grade="inferred"),),
)
CASES: dict[str, MailView] = {
    "line_down_opened": LINE_DOWN,
    "line_suspected_opened": SUSPECTED,
    "area_outage_opened": AREA,
    "disk_full_opened": replace(
        LINE_DOWN,
        kind=Kind.DISK_FULL,
        party=Party.TECHNICIAN,
        party_name="",
        severity=Severity.MINOR,
        evidence=Evidence(facts=(("volume", "C:"), ("free", "1503238553"), ("samples", "31"))),
        timeline=(),
    ),
    "line_down_recovered": replace(
        LINE_DOWN,
        event=NoticeEvent.RECOVERED,
        at_ms=T0 + 3 * HOUR,
        ended_ms=T0 + 3 * HOUR - 4 * MINUTE,
        evidence=Evidence(readings=WELL_READINGS),
        timeline=(
            OPENED,
            entry(2, T0 + 20 * MINUTE, "王工", What.ACKNOWLEDGED),
            entry(3, T0 + 2 * HOUR, "王工", What.REPAIR_CLAIMED, text="光缆被挖断，已熔接"),
            entry(4, T0 + 3 * HOUR, "", What.RECOVERED, ended_ms=T0 + 3 * HOUR - 4 * MINUTE),
        ),
        follows=True,
        carrier_order="YD20260529-0077",
    ),
    "line_down_reopened": replace(
        LINE_DOWN, event=NoticeEvent.REOPENED, follows=True, note="修复后 10 分钟内的新检测仍然不通", previous="SK-2026-000098"
    ),
    "site_dark_opened": replace(
        SUSPECTED,
        kind=Kind.SITE_DARK,
        party=Party.TECHNICIAN,
        party_name="",
        grade=Grade.TO_VERIFY,
        severity=Severity.MINOR,
        timeline=(),
    ),
    "modem_down_moved_here": replace(
        LINE_DOWN,
        event=NoticeEvent.MOVED_HERE,
        kind=Kind.MODEM_DOWN,
        party=Party.SITE,
        party_name="李老师",
        severity=Severity.MAJOR,
        evidence=Evidence(readings=(*LINE_READINGS[:3], reading(Rung.MODEM, FAIL, Reason.TIMEOUT, target="192.168.100.1"))),
    ),
    "line_suspected_moved_away": replace(
        SUSPECTED,
        event=NoticeEvent.MOVED_AWAY,
        kind=Kind.MODEM_DOWN,
        party=Party.SITE,
        party_name="",
        grade=Grade.PROVEN,
        follows=True,
        subject_kind=Kind.LINE_SUSPECTED,
    ),
    "site_dark_closed": replace(
        SUSPECTED,
        event=NoticeEvent.CLOSED,
        closing=Closing.EXPLAINED,
        ended_ms=T0,
        subject_kind=Kind.SITE_DARK,
        kind=Kind.SITE_DARK,
        follows=True,
    ),
}


def files(name: str, lang: Lang) -> dict[str, str]:
    """A case's files by their names."""
    rendered: Rendered = render(CASES[name], lang)
    return {f"{name}.{lang}.txt": f"{rendered.subject}\n\n{rendered.text}\n", f"{name}.{lang}.html": f"{rendered.html}\n"}


def main() -> int:
    """Write all of them."""
    FOLDER.mkdir(exist_ok=True)
    for name in CASES:
        for lang in LANGUAGES:
            for file, content in files(name, lang).items():
                (FOLDER / file).write_text(content, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
