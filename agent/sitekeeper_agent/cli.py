"""The command line. Imports wait until a command needs them, so that --version and mistakes are answered at once."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sitekeeper_agent import __version__, handover

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from sitekeeper_agent.commissioning import Commission
    from sitekeeper_agent.config import Settings
    from sitekeeper_agent.standing import Fault
    from sitekeeper_protocol.ladder import Verdict

EXIT_USAGE, EXIT_TROUBLE = 64, 70
_EXITS = """exit codes
  check:  0 all is well, 1 a fault, 2 degraded, 3 the readings can't tell
  status: 0 connected, 1 running without a connection, 3 not running
  doctor: 0 nothing is wrong, 1 something is
  service: 0 done, or installed; 3 not installed
  all:    64 a mistake in the configuration or the command, 70 the agent can't run here"""


def main(arguments: list[str] | None = None) -> int:
    """Run a command; its exit code."""
    from sitekeeper_protocol.settings import SettingsError

    try:
        if arguments is None and (handed := handover.take()) is not None:
            return _stay(handed)
        options = _parser().parse_args(arguments)
        from sitekeeper_agent.config import load

        if options.before_settings:
            return int(options.act(options))
        settings = load(options.config)
        return int(options.act(settings, options))
    except SettingsError as err:
        print(f"sitekeeper-agent: {err}", file=sys.stderr)
        return EXIT_USAGE


def _parser() -> "argparse.ArgumentParser":
    import argparse

    parser = argparse.ArgumentParser(
        prog="sitekeeper-agent",
        description="Watches a distance-education site from its own PC and reports to the county.",
        epilog=_EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"sitekeeper-agent {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, act, text in (
        ("run", _run, "measure and report until stopped"),
        ("check", _check, "measure once, and show the ladder as a table"),
        ("status", _status, "show what the running agent does"),
        ("commission", _commission, "record what works at this site, as the baseline for later; the agent must be stopped"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        _add_config(command)
        command.set_defaults(act=act, before_settings=False)
        if name in ("check", "status"):
            command.add_argument("--json", action="store_true", help="for programs instead of people")
        if name == "commission":
            command.add_argument("--yes", action="store_true", help="store without asking")
        if name in ("check", "commission"):
            command.add_argument("--lang", choices=("zh", "en"), help="language (default: that of the configuration)")
    text = "find out what keeps the agent from working here, and say what to do"
    doctor = commands.add_parser("doctor", help=text, description=text)
    _add_config(doctor)
    doctor.add_argument("--json", action="store_true", help="for programs instead of people")
    doctor.add_argument("--lang", choices=("zh", "en"), help="language (default: that of the configuration)")
    doctor.set_defaults(act=_doctor, before_settings=True)
    text = "on Windows: run the agent whenever the PC is on, stop doing so, or say whether it is so"
    service = commands.add_parser("service", help=text, description=text)
    service.add_argument("what", choices=("install", "remove", "status"))
    _add_config(service)
    service.set_defaults(act=_service, before_settings=True)
    return parser


def _add_config(command: "argparse.ArgumentParser") -> None:
    from sitekeeper_agent.defaults import CONFIG_FILE

    text = f"the agent's YAML file (default: {CONFIG_FILE})"
    command.add_argument("--config", type=Path, default=Path(CONFIG_FILE), metavar="FILE", help=text)


def _doctor(options: "argparse.Namespace") -> int:
    from sitekeeper_agent import doctor

    language, findings = doctor.examine(options.config)
    lang = options.lang or language
    if options.json:
        import json

        print(json.dumps(doctor.as_json(findings, lang), ensure_ascii=False, indent=1))
    else:
        print(doctor.render(findings, lang), end="")
    return doctor.exit_code(findings)


def _service(options: "argparse.Namespace") -> int:
    from sitekeeper_agent import service
    from sitekeeper_agent.config import load

    if not service.on_windows():
        print("sitekeeper-agent: this is for Windows; here: systemctl status sitekeeper-agent", file=sys.stderr)
        return EXIT_TROUBLE
    try:
        if options.what == "status":
            there = service.installed(service.run_here)
            print("installed 已安装" if there else "not installed 未安装")
            return 0 if there else 3
        if options.what == "install":
            service.install(load(options.config), options.config, service.run_here)
        else:
            service.remove(service.run_here)
    except (service.ServiceTrouble, OSError) as err:
        print(f"sitekeeper-agent: {err}", file=sys.stderr)
        return EXIT_TROUBLE
    return 0


def _run(settings: "Settings", _options: "argparse.Namespace") -> int:
    handover.leave(settings)
    return _stay(settings)


def _stay(settings: "Settings") -> int:
    import logging

    from sitekeeper_agent import app
    from sitekeeper_agent.config import read_password

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    password = read_password(settings.broker.password_file)
    try:
        return app.run(settings, password)
    except (app.AlreadyRunning, OSError) as err:
        print(f"sitekeeper-agent: {err}", file=sys.stderr)
        return EXIT_TROUBLE


def _check(settings: "Settings", options: "argparse.Namespace") -> int:
    from sitekeeper_agent import checkview, commissioning, learned, platform
    from sitekeeper_agent.journal import Now
    from sitekeeper_agent.probes import network_identity, resolver
    from sitekeeper_agent.probes.runner import ProbeRunner
    from sitekeeper_agent.remote.keeper import in_use
    from sitekeeper_agent.sampler import Order, context_of, stored_baseline

    settings = in_use(settings)
    kept = _kept(Path(settings.state_dir))
    known = learned.stored(kept.get("learned"))
    context = context_of(settings, None, Now(platform.wall_ms(), platform.boottime_ms(), 0), known)
    baseline = stored_baseline(kept.get("baseline"))
    from msgspec.structs import replace

    runner = ProbeRunner(timeout_s=settings.probe_timeout_s)
    found = Order(context, replace(baseline, resolver=resolver(context)), None).carry_out(runner)
    runner.close()
    if options.json:
        import json

        from sitekeeper_protocol import codec

        print(json.dumps(codec.to_builtins(found.verdict), ensure_ascii=False, indent=1))
    else:
        lang = options.lang or settings.language
        print(checkview.render(found.readings, found.verdict, lang, found.raw), end="")
        advice = commissioning.advice(
            network_identity(context).encode(), kept.get(commissioning.COMMISSIONED_NETWORK), lang, str(options.config)
        )
        if advice:
            print(f"\n{advice}")
        fault = _fault_of_check(settings, found.verdict)
        if fault is not None:
            print("\n".join(checkview.reporting(fault, settings.site, settings.phone, lang)))
    return checkview.exit_code(found.verdict)


def _fault_of_check(settings: "Settings", verdict: "Verdict") -> "Fault | None":
    """What one look found, with what the running agent knows besides if it sees the same."""
    from sitekeeper_agent import platform, statusfile
    from sitekeeper_agent.standing import Fault
    from sitekeeper_protocol.vocabulary import State

    if verdict.state != State.FAIL:
        return None
    told = statusfile.read(Path(settings.state_dir))
    if told is None or not statusfile.running(told, settings, platform.wall_ms()):
        return Fault(verdict.kind, verdict.rung, None, (), connected=False)
    known = statusfile.fault(told, boot=platform.boot_id(), boottime_ms=platform.boottime_ms())
    if known is not None and (known.kind, known.rung) == (verdict.kind, verdict.rung):
        return known
    return Fault(verdict.kind, verdict.rung, None, (), connected=bool(told["connected"]))


def _commission(settings: "Settings", options: "argparse.Namespace") -> int:
    from contextlib import ExitStack

    from sitekeeper_agent import app, commissioning
    from sitekeeper_agent.remote.keeper import in_use
    from sitekeeper_agent.spool import Spool

    settings = in_use(settings)
    words = commissioning.WORDS[options.lang or settings.language]
    if not options.yes and not sys.stdin.isatty():
        print(f"sitekeeper-agent: {words['tty']}", file=sys.stderr)
        return EXIT_USAGE
    state = Path(settings.state_dir)
    with ExitStack() as stack:
        try:
            state.mkdir(mode=0o700, parents=True, exist_ok=True)
            stack.enter_context(app.sole_user(state))
        except app.AlreadyRunning:
            print(f"sitekeeper-agent: {words['running']}", file=sys.stderr)
            return EXIT_TROUBLE
        except OSError as err:
            print(f"sitekeeper-agent: {err}", file=sys.stderr)
            return EXIT_TROUBLE
        print(words["intro"])
        try:
            if not options.yes:
                input(words["ready"])
            found = _survey(settings, words)
            print(commissioning.render(found, settings, options.lang or settings.language), end="")
            if not found.portal_answers:
                print(f"\n{words['broken']}")
                return 1
            if not options.yes and input(words["ask"]).strip().lower() not in ("y", "yes", "是"):
                print(words["left"])
                return 1
        except (KeyboardInterrupt, EOFError):
            print(f"\n{words['left']}")
            return 1
        stack.callback(commissioning.hand_over, state)
        spool = Spool(state, app.limits_of(settings), stamp=app.stamp)
        stack.callback(spool.close)
        commissioning.store(spool, found)
    print(f"\n{words['kept']}")
    return 0


def _survey(settings: "Settings", words: "Mapping[str, str]") -> "Commission":
    from sitekeeper_agent import commissioning, platform
    from sitekeeper_agent.journal import Now
    from sitekeeper_agent.probes.runner import ProbeRunner
    from sitekeeper_agent.sampler import context_of

    context = context_of(settings, None, Now(platform.wall_ms(), platform.boottime_ms(), 0))
    runner = ProbeRunner(timeout_s=settings.probe_timeout_s)
    try:
        return commissioning.Survey(context).run(
            runner, platform.wall_ms, lambda at: print(words["look"].format(at=at, of=commissioning.LOOKS), flush=True)
        )
    finally:
        runner.close()


def _kept(state: Path) -> dict[str, bytes]:
    """What the agent on this machine has learned and was commissioned with, read without disturbing it."""
    import sqlite3

    file = state / "spool.db"
    try:
        database = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
        try:
            keys = ("baseline", "learned", "network", "commissioned_network")
            rows = database.execute("SELECT key, value FROM meta WHERE key IN (?, ?, ?, ?)", keys).fetchall()
        finally:
            database.close()
    except sqlite3.Error:
        return {}
    return {str(key): bytes(value) for key, value in rows}


def _status(settings: "Settings", options: "argparse.Namespace") -> int:
    from sitekeeper_agent import commissioning, platform, standing, statusfile

    told = statusfile.read(Path(settings.state_dir))
    age_s = (platform.wall_ms() - int(told["wall_ms"])) / 1000 if told else None
    running = told is not None and statusfile.running(told, settings, platform.wall_ms())
    fault = statusfile.fault(told, boot=platform.boot_id(), boottime_ms=platform.boottime_ms()) if told and running else None
    if options.json:
        import json

        digits = standing.code(fault, settings.site).replace(" ", "") if fault else None
        print(json.dumps((told or {}) | {"running": running, "code": digits}, ensure_ascii=False, indent=1))
    elif told is None:
        print(f"No agent has run with {settings.state_dir} yet.")
    else:
        reporting = []
        if fault:
            said = standing.sentence(fault, settings.phone, settings.language)
            reporting = [("reporting", said), ("8 digits", standing.code(fault, settings.site))]
        kept = _kept(Path(settings.state_dir))
        asked = commissioning.advice(
            kept.get("network"), kept.get(commissioning.COMMISSIONED_NETWORK), settings.language, str(options.config)
        )
        print("\n".join(_lines([*_rows(told, running, age_s or 0.0), ("commissioned", asked or "yes"), *reporting])))
    if not running or told is None:
        return 3
    return 0 if told["connected"] else 1


def _lines(rows: list[tuple[str, str]]) -> list[str]:
    from sitekeeper_agent.checkview import plain

    return [f"{name:14}{plain(text)}" for name, text in rows]


def _rows(told: dict[str, Any], running: bool, age_s: float) -> list[tuple[str, str]]:
    from datetime import UTC, datetime

    def moment(wall_ms: int | None) -> str:
        if wall_ms is None:
            return "none in this run"
        return datetime.fromtimestamp(wall_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")

    verdict = " ".join(str(part) for part in (told["verdict"], told["kind"] or told["rung"]) if part)
    return [
        ("site", told["site"]),
        ("agent", f"{'running' if running else 'not running'}, run {told['run']}, last sample {age_s:.0f} s ago"),
        ("broker", f"{told['broker']}, {'connected' if told['connected'] else told['trouble'] or 'not connected'}"),
        ("ladder", verdict or "not measured yet"),
        ("spool", f"{told['samples_held']} samples, {told['samples_unconfirmed']} not confirmed, {told['spool_bytes']} bytes"),
        ("disk", "takes samples" if told["spool_writable"] else "takes nothing: samples are kept in memory"),
        ("last receipt", moment(told["receipt_wall_ms"])),
        ("tickets", ", ".join(told["tickets"]) or "none"),
        ("today", _hours(told)),
    ]


def _hours(told: dict[str, Any]) -> str:
    def amount(name: str) -> str:
        minutes = int(told[name]) // 60
        return f"{minutes // 60} h {minutes % 60} min"

    if told.get("on_today_s") is None:
        return "not measured yet"
    if told.get("in_use_today_s") is None:
        return f"on {amount('on_today_s')}; nothing tells how much of it in use"
    return f"on {amount('on_today_s')}, in use {amount('in_use_today_s')}, idle {amount('idle_today_s')}"
