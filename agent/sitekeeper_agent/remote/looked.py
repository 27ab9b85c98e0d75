"""What one look found, as the values and the text of a result. Loaded with the first ``probe_now``."""

from sitekeeper_agent import checkview
from sitekeeper_agent.sampler import Look
from sitekeeper_protocol.messages import Scalar
from sitekeeper_protocol.texts import Lang
from sitekeeper_protocol.vocabulary import Reason, State

_MOST_READINGS = 90


def told(look: Look, lang: Lang) -> tuple[dict[str, Scalar], str]:
    """Values by name, and the table that ``sitekeeper-agent check`` shows."""
    verdict = look.verdict
    values: dict[str, Scalar] = {"state": verdict.state.name.lower()}
    if verdict.rung is not None:
        values["rung"] = verdict.rung.name.lower()
    for name, word in (("kind", verdict.kind), ("party", verdict.party), ("grade", verdict.grade)):
        if word is not None:
            values[name] = word.value
    for reading in look.readings[:_MOST_READINGS]:
        if reading.state is State.NOT_APPLICABLE:
            continue
        name = f"{reading.path}/{reading.rung.name.lower()}" + (f"/{reading.label}" if reading.label else "")
        why = "" if reading.reason == Reason.NONE else f" {reading.reason.name.lower()}"
        time = "" if reading.rtt_ms is None else f" {reading.rtt_ms:.1f} ms"
        values[name] = f"{reading.state.name.lower()}{why}{time}"
    return values, checkview.render(look.readings, verdict, lang, look.raw)
