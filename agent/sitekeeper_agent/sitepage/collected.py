"""The page that says what is collected: made from what this run has really sent, and from the settings. Pure."""

from urllib.parse import urlsplit

from sitekeeper_agent.config import Settings
from sitekeeper_agent.sitepage import pages, words
from sitekeeper_agent.sitepage.board import Seen
from sitekeeper_agent.sitepage.collected_words import COLLECTED, FACTS, METRICS
from sitekeeper_agent.sitepage.markup import Html, element, joined
from sitekeeper_protocol import vocabulary
from sitekeeper_protocol.messages import Scalar
from sitekeeper_protocol.texts import Lang
from sitekeeper_protocol.vocabulary import Metric


def collected(settings: Settings, seen: Seen, lang: Lang) -> Html:
    """The page."""
    other = "en" if lang == "zh" else "zh"
    top = element(
        "div",
        element("a", words.said("other_language", lang), href=f"/collected?lang={other}", class_="other"),
        element("a", words.said("back", lang), href=f"/?lang={lang}"),
        id="top",
    )
    body = joined(
        top,
        element("h1", words.said("collected", lang)),
        element("p", _said("lead", lang)),
        element("dl", *(part for name, text in _settings(settings, lang) for part in _entry(name, text, lang))),
        _list("measured", [metric_words(number, lang) for number in sorted(seen.metrics)], lang),
        _list("facts", [f"{fact_words(name, lang)}: {_fact(value)}" for name, value in sorted(seen.facts.items())], lang),
        element("dl", *_entry("events", _said("events_text", lang), lang)),
    )
    return pages.page(lang, words.said("collected", lang), element("div", body, id="collected"))


def metric_words(number: int, lang: Lang) -> str:
    """What a metric is, in words."""
    try:
        metric = Metric(number)
    except ValueError:
        return vocabulary.metric_name(number)
    pair = METRICS.get(metric)
    return words.of(pair, lang) if pair else vocabulary.METRICS[metric].meaning


def fact_words(name: str, lang: Lang) -> str:
    """What a fact is, in words; as it is named where there are none."""
    pair = FACTS.get(name)
    return words.of(pair, lang) if pair else name


def _settings(settings: Settings, lang: Lang) -> list[tuple[str, str]]:
    broker = settings.broker
    how = _said("encrypted" if broker.encryption else "plain", lang)
    visited = [_host(settings.portal), *settings.anchors, *map(_host, settings.media)]
    return [
        ("never", _said("never_text", lang)),
        ("where", _said("where_text", lang, broker=f"{broker.host}:{broker.port}", how=how)),
        (
            "when",
            _said("when_text", lang, sample=f"{settings.sample_interval_s:g}", report=f"{settings.report_interval_s:g}"),
        ),
        (
            "kept",
            _said(
                "kept_text",
                lang,
                days=settings.spool.max_days,
                mib=settings.spool.max_mib,
                receipted=settings.spool.keep_receipted_days,
            ),
        ),
        ("visits", ("、" if lang == "zh" else ", ").join(dict.fromkeys(visited))),
        ("afar", _said("afar_on" if settings.remote.enabled else "afar_off", lang)),
        ("speed", _speed(settings, lang)),
        ("players", _players(settings, lang)),
        ("hours", _said("hours_text", lang)),
    ]


def _speed(settings: Settings, lang: Lang) -> str:
    if not settings.speed_test:
        return _said("speed_none", lang)
    return _said("speed_text", lang, host=_host(settings.speed_test), mb=settings.data_budget_mb)


def _players(settings: Settings, lang: Lang) -> str:
    names = ("、" if lang == "zh" else ", ").join(player.name for player in settings.players)
    return _said("players_text", lang, names=names) if names else _said("players_none", lang)


def _host(address: str) -> str:
    """The server's name alone: what follows it may be a key."""
    return urlsplit(address).hostname or ""


def _list(name: str, items: list[str], lang: Lang) -> Html:
    listed = [element("li", item) for item in dict.fromkeys(items)] or [element("li", _said("nothing_yet", lang))]
    return joined(element("h2", _said(name, lang)), element("ul", *listed))


def _entry(name: str, text: str, lang: Lang) -> tuple[Html, Html]:
    return element("dt", _said(name, lang)), element("dd", text)


def _fact(value: Scalar) -> str:
    return "–" if value is None else str(value)


def _said(name: str, lang: Lang, **values: object) -> str:
    return words.of(COLLECTED[name], lang, **values)
