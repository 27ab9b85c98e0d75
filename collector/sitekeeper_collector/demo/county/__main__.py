"""``python -m sitekeeper_collector.demo.county``: the simulated county alone, against any broker. See ``--help``."""

import argparse
import os
import secrets
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from sitekeeper_collector.broker.folder import BrokerFolderError
from sitekeeper_collector.demo.county import NAMES, County, CountyError, plan_sites, sites_csv
from sitekeeper_protocol.texts import Lang, Pair

_LOOK_S = 0.25
_FIGURES_S = 5.0
_WORDS: dict[str, Pair] = {
    "start": ("{n}个模拟站点，随机种子 {seed}；按 Ctrl-C 结束", "{n} simulated sites, seed {seed}; Ctrl-C ends it"),
    "look": ("  看：{text}", "  Look: {text}"),
    "figures": (
        "[{s:4.0f} s] 在线 {connected}/{sites} · 样本 {taken} · 未获回执 {waiting}",
        "[{s:4.0f} s] {connected}/{sites} connected, {taken} samples, {waiting} without a receipt",
    ),
    "truth": ("{name}（{site}）：{condition}，{begin} 至 {end}", "{name} ({site}): {condition}, {begin} to {end}"),
    "still": ("仍未恢复", "still so"),
    "ending": ("各站点正常关机……", "the sites shut down ..."),
    "failed": ("出错：{text}", "failed: {text}"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run the county until told to stop; 0, or 1 if it could not."""
    options = _arguments().parse_args(arguments)
    lang: Lang = options.lang
    seed = secrets.randbelow(2**31) if options.seed is None else options.seed
    try:
        # The register is the same each time, whatever the seed of the runs: sites are imported once.
        sites = plan_sites(options.count)
        if options.write_sites is not None:
            options.write_sites.write_text(sites_csv(sites), encoding="utf-8")
            return 0
        county = County(
            host=options.host,
            port=options.port,
            folder=options.folder,
            sites=sites,
            area=options.area,
            seed=seed,
            factor=options.factor,
        )
        _say("start", lang, n=len(sites), seed=seed)
        _play(county, options.seconds, lang)
        _tell_truth(county, {site.id: site.name for site in sites}, lang)
    except (CountyError, BrokerFolderError, OSError, ValueError) as err:
        _say("failed", lang, text=err)
        return 1
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sitekeeper_collector.demo.county",
        description="Simulated sites that speak the real protocol to a broker on this machine, and a script of what happens to "
        "them in two minutes: a resolver, a stream, an access node and a township's power fail and return, and one site is "
        "switched off at the wall. Import the sites first: --write-sites writes the file.",
    )
    language = "zh" if os.environ.get("LC_ALL", os.environ.get("LANG", "")).startswith("zh") else "en"
    parser.add_argument("--host", default="127.0.0.1", help="the broker's address (127.0.0.1)")
    parser.add_argument("--port", type=int, default=1883, help="its port, without TLS (1883)")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="the broker's folder, with the sites' passwords (no passwords)"
    )
    parser.add_argument("--area", default="demo", help="area in the topics (demo)")
    parser.add_argument("--count", type=int, default=60, help="how many sites (60)")
    parser.add_argument("--seed", type=int, help="draw the same runs again; not on a database that has seen them")
    parser.add_argument("--factor", type=float, default=1.0, help="stretch the script's times by this factor (1)")
    parser.add_argument("--seconds", type=float, metavar="N", help="end by itself after N seconds (default: with Ctrl-C)")
    parser.add_argument("--lang", choices=("zh", "en"), default=language, help=f"language (default: {language})")
    parser.add_argument("--write-sites", type=Path, metavar="FILE.csv", help="only write the list of sites, for `sites import`")
    return parser


def _play(county: County, seconds: float | None, lang: Lang) -> None:
    stopping = threading.Event()
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        county.start()
        _watch(county, stopping, seconds, lang)
    finally:
        _say("ending", lang)
        try:
            county.stop()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _watch(county: County, stopping: threading.Event, seconds: float | None, lang: Lang) -> None:
    begun, next_figures_s, told = time.monotonic(), _FIGURES_S, 0
    while not stopping.wait(_LOOK_S):
        county.check()
        elapsed_s = time.monotonic() - begun
        for done in county.events()[told:]:
            told += 1
            happens, look = done.step.words(lang)
            sys.stdout.write(f"[{elapsed_s:4.0f} s] {happens}\n")
            _say("look", lang, text=look)
        if elapsed_s >= next_figures_s:
            next_figures_s += _FIGURES_S
            _say("figures", lang, s=elapsed_s, **county.figures()._asdict())
        if seconds is not None and elapsed_s >= seconds:
            return


def _tell_truth(county: County, names: dict[str, str], lang: Lang) -> None:
    """What was really so, to be held against what the collector found out."""
    at = 0 if lang == "zh" else 1
    for spell in county.truth:
        end = _WORDS["still"][at] if spell.to_ms is None else _time(spell.to_ms)
        condition = NAMES[spell.condition][at]
        _say("truth", lang, name=names[spell.site], site=spell.site, condition=condition, begin=_time(spell.from_ms), end=end)


def _time(wall_ms: int) -> str:
    return datetime.fromtimestamp(wall_ms / 1000, UTC).astimezone().strftime("%H:%M:%S")


def _say(key: str, lang: Lang, **values: object) -> None:
    sys.stdout.write(_WORDS[key][0 if lang == "zh" else 1].format(**values) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
