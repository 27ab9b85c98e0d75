"""``sitekeeper-collector classes | rules | mail``: the plan of classes, the rules of detection, and whether mail arrives."""

import argparse
import datetime
import secrets
import time
from pathlib import Path

from sitekeeper_collector import rules_file
from sitekeeper_collector.cli_common import CliError, config_argument, load_settings, opened, positive
from sitekeeper_collector.cli_text import table
from sitekeeper_collector.config import Settings
from sitekeeper_collector.domain.rules import DETECTED, Rules
from sitekeeper_collector.domain.tickets import Evidence, NoticeEvent
from sitekeeper_collector.notify import smtp
from sitekeeper_collector.notify.addresses import is_address
from sitekeeper_collector.notify.view import MailView
from sitekeeper_collector.registry import stored
from sitekeeper_collector.store import lessons
from sitekeeper_collector.store.lessons import Planned
from sitekeeper_protocol.vocabulary import Grade, Kind, Party, Severity

_LONGEST_H = 24
_RIGHT = "write it like '2026-09-01 09:00', on the clocks of the county"


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the commands' arguments."""
    actions = commands.add_parser("classes", help="when which sites are in use").add_subparsers(required=True, metavar="ACTION")
    new = actions.add_parser("add", help="add a class, for all sites or for some")
    new.add_argument("--from", dest="from_", required=True, metavar="TIME", help="begin, like '2026-09-01 09:00'")
    new.add_argument("--to", required=True, metavar="TIME", help="end; 'HH:MM' means the same day")
    new.add_argument("--title", required=True, metavar="TEXT", help="what is taught")
    new.add_argument("--county", default="", metavar="NAME", help="for the sites of this county only")
    new.add_argument("--township", default="", metavar="NAME", help="for the sites of this township only")
    new.add_argument("--site", default="", metavar="ID", help="for this site only")
    new.add_argument("--weeks", type=positive, default=1, metavar="N", help="again each week, N times in all (1)")
    config_argument(new)
    new.set_defaults(handler=run_add)
    show = actions.add_parser("list", help="the classes that are planned")
    show.add_argument("--days", type=positive, default=30, metavar="N", help="of the next N days (30)")
    config_argument(show)
    show.set_defaults(handler=run_list)
    remove = actions.add_parser("remove", help="take a class out of the plan")
    remove.add_argument("number", type=positive, metavar="NUMBER", help="as `classes list` shows it")
    config_argument(remove)
    remove.set_defaults(handler=run_remove)
    rules = commands.add_parser("rules", help="the rules of detection").add_subparsers(required=True, metavar="ACTION")
    check = rules.add_parser("check", help="whether a file of rules can be used, and what it says")
    check.add_argument("file", type=Path, metavar="FILE", help="such as config/faults.yaml")
    check.set_defaults(handler=run_check)
    mail = commands.add_parser("mail", help="whether mail arrives").add_subparsers(required=True, metavar="ACTION")
    test = mail.add_parser("test", help="send a mail that says it is a test, in the form of a real one")
    test.add_argument("address", metavar="ADDRESS", help="who is to get it")
    test.add_argument("--lang", choices=("zh", "en"), default="zh", help="in which language (zh)")
    config_argument(test)
    test.set_defaults(handler=run_test)


# --- classes -----------------------------------------------------------------------------------------------------------


def run_add(args: argparse.Namespace) -> int:
    """Add classes."""
    settings = load_settings(args.config)
    begin = _time(args.from_, settings, None)
    end = _time(args.to, settings, begin)
    if not datetime.timedelta(0) < end - begin <= datetime.timedelta(hours=_LONGEST_H):
        raise CliError(f"a class from {args.from_} to {args.to}: it must end after it begins, within {_LONGEST_H} hours")
    title = " ".join(str(args.title).split())
    if not title or len(title) > 100 or not title.isprintable():
        raise CliError("the title must have 1 to 100 printable characters")
    with opened(settings) as store, store.write() as connection:
        for name in ("county", "township", "site"):
            known = {site.id if name == "site" else getattr(site, name) for site in stored.all_sites(connection)}
            if getattr(args, name) and getattr(args, name) not in known:
                raise CliError(f"no site of the register has the {name} {getattr(args, name)!r}")
        weeks = (datetime.timedelta(weeks=week) for week in range(args.weeks))
        planned = [Planned(args.county, args.township, args.site, _ms(begin + w), _ms(end + w), title) for w in weeks]
        count = lessons.add(connection, planned)
    print(f"{count} added" + (f", {args.weeks - count} there already" if count < args.weeks else ""))
    return 0


def run_list(args: argparse.Namespace) -> int:
    """Show the plan."""
    settings = load_settings(args.config)
    now_ms = time.time_ns() // 1_000_000
    with opened(settings) as store, store.read() as connection:
        found = lessons.between(connection, now_ms, now_ms + args.days * 86_400_000)
    zone = _zone(settings)
    rows = []
    for number, one in found:
        begin, end = (datetime.datetime.fromtimestamp(ms / 1000, zone) for ms in (one.from_ms, one.to_ms))
        whose = one.site or one.township or one.county or "all sites"
        rows.append((number, f"{begin:%Y-%m-%d %H:%M}", f"{end:%H:%M}", whose, one.title))
    print(table(("number", "from", "to", "sites", "title"), rows) if rows else "no class is planned")
    return 0


def run_remove(args: argparse.Namespace) -> int:
    """Take one out."""
    with opened(load_settings(args.config)) as store, store.write() as connection:
        if not lessons.remove(connection, args.number):
            raise CliError(f"there is no class {args.number}; `classes list` shows the numbers")
    print(f"class {args.number} is taken out")
    return 0


def _zone(settings: Settings) -> datetime.timezone:
    return datetime.timezone(datetime.timedelta(minutes=settings.utc_offset_min))


def _time(text: str, settings: Settings, day: datetime.datetime | None) -> datetime.datetime:
    for form in ("%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"):
        try:
            return datetime.datetime.strptime(text, form).replace(tzinfo=_zone(settings))
        except ValueError:
            continue
    try:
        clock = datetime.datetime.strptime(text, "%H:%M").replace(tzinfo=_zone(settings))
    except ValueError:
        raise CliError(f"{text!r} is no time; {_RIGHT}") from None
    if day is None:
        raise CliError(f"{text!r} names no day; {_RIGHT}")
    return day.replace(hour=clock.hour, minute=clock.minute)


def _ms(moment: datetime.datetime) -> int:
    return round(moment.timestamp() * 1000)


# --- rules and mail ----------------------------------------------------------------------------------------------------


def run_check(args: argparse.Namespace) -> int:
    """Read a file of rules, and show what it comes to."""
    rules = rules_file.load(args.file)
    rows = [_row(rules, kind) for kind in DETECTED]
    print(table(("kind", "opens after s", "over after s", "party", "severity", "ticket"), rows))
    return 0


def _row(rules: Rules, kind: Kind) -> tuple[object, ...]:
    rule = rules.of(kind)
    assert rule is not None
    return (kind, rule.hold_down_s, rule.hold_up_s, rules.party(kind), rules.severity(kind), "yes" if rule.ticket else "no")


def run_test(args: argparse.Namespace) -> int:
    """Send one mail, and say what the server said."""
    # Templates take a while to import: only for those who want one.
    from sitekeeper_collector.notify import mail as letters

    settings = load_settings(args.config)
    if settings.mail.smtp is None:
        raise CliError(f"{args.config}: mail.smtp is not set; see config/collector.yaml")
    if not is_address(args.address):
        raise CliError(f"{args.address[:80]!r} is no mail address; write for example noc@example.org")
    now_ms = time.time_ns() // 1_000_000
    rendered = letters.render(_test_view(settings, now_ms), args.lang)
    mail = settings.mail
    envelope = letters.Envelope(
        sender=mail.sender,
        sender_name=mail.sender_name,
        recipient=args.address,
        thread=f"test-{secrets.token_hex(6)}/1",
        number=0,
        domain=mail.domain or mail.sender.rpartition("@")[2],
        dated_ms=now_ms,
        reply_to=mail.reply_to,
        lang=args.lang,
        utc_offset_min=settings.utc_offset_min,
    )
    message = letters.compose(rendered, envelope)
    outcome = smtp.send(settings.mail.smtp, message)
    if isinstance(outcome, smtp.Sent):
        print(f"{settings.mail.smtp.host} has taken the mail to {args.address}")
        return 0
    raise CliError(f"{settings.mail.smtp.host}: {outcome.reason}")


def _test_view(settings: Settings, now_ms: int) -> MailView:
    return MailView(
        event=NoticeEvent.OPENED,
        ticket="TEST-0",
        at_ms=now_ms,
        site="test",
        site_name="测试 / Test",
        kind=Kind.PORTAL_DOWN,
        party=Party.TECHNICIAN,
        grade=Grade.TO_VERIFY,
        severity=Severity.INFO,
        started_ms=now_ms,
        note="这是一封测试邮件，没有故障。 / This is a test, there is no fault.",
        evidence=Evidence(),
        utc_offset_min=settings.utc_offset_min,
    )
