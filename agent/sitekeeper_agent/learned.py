"""What the agent has learned of the site's network besides what works: the second hop, and how fast the line usually is. Pure.

It goes the way of the baseline when the PC comes to stand in another network.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from sitekeeper_agent.probes.modem import is_modem
from sitekeeper_agent.probes.window import LEAST_PROBES, LOSS_RATIO, SLOWER_TIMES, SPAN_S
from sitekeeper_protocol.messages import Scalar, SeriesKey
from sitekeeper_protocol.vocabulary import Metric, from_wire

LOOKS = 3
"""So often in succession a second hop must be seen before its silence says anything."""
_SHARE = 8
"""What is usual moves by an eighth of the way in each half hour: days make it, not a bad evening."""
_PATHS = ("ipv4", "ipv6")


class Seen(Struct, frozen=True, kw_only=True):
    """A second hop, and in how many looks on end it was there."""

    address: str
    looks: int


class Learned(Struct, frozen=True, kw_only=True):
    """By path: the second hop last seen, the modem, the usual median in ms."""

    hops: dict[str, Seen] = {}
    modems: dict[str, str] = {}
    usual_rtt_ms: dict[str, float] = {}
    public_names: frozenset[str] = frozenset()
    """Paths over which the portal's name had public addresses when the site was commissioned."""

    def after(self, values: Mapping[SeriesKey, int], facts: Mapping[str, Scalar], *, half_hour: bool) -> "Learned":
        """With what one look found; ``half_hour``: what is usual was last moved half an hour ago or more."""
        learned = self
        for path in _PATHS:
            hop = facts.get(f"network.second_hop.{path}")
            if isinstance(hop, str) and hop:
                learned = learned._with_hop(path, hop)
            if half_hour:
                learned = learned._with_median(path, values)
        return learned

    def _with_hop(self, path: str, address: str) -> "Learned":
        seen = self.hops.get(path)
        looks = min(LOOKS, seen.looks + 1) if seen is not None and seen.address == address else 1
        if seen is not None and (seen.address, seen.looks) == (address, looks):
            return self
        learned = msgspec.structs.replace(self, hops=self.hops | {path: Seen(address=address, looks=looks)})
        if looks < LOOKS or not is_modem(address):
            return learned
        return msgspec.structs.replace(learned, modems=self.modems | {path: address})

    def _with_median(self, path: str, values: Mapping[SeriesKey, int]) -> "Learned":
        found = {m: values.get((m.value, f"{path}/isp")) for m in _QUALITY}
        probes, loss, p50 = (found[m] for m in _QUALITY)
        if probes is None or loss is None or p50 is None or probes < LEAST_PROBES:
            return self
        p50_ms, usual_ms = from_wire(_QUALITY[2], p50), self.usual_rtt_ms.get(path)
        if from_wire(_QUALITY[1], loss) >= LOSS_RATIO or (usual_ms and p50_ms >= SLOWER_TIMES * usual_ms):
            return self
        moved = p50_ms if usual_ms is None else usual_ms + (p50_ms - usual_ms) / _SHARE
        return msgspec.structs.replace(self, usual_rtt_ms=self.usual_rtt_ms | {path: round(moved, 2)})


_QUALITY = (Metric.LINE_PROBES, Metric.LINE_LOSS_RATIO, Metric.LINE_RTT_P50_MS)
HALF_HOUR_MS = SPAN_S * 1000
_decode = msgspec.msgpack.Decoder(Learned).decode


def stored(spool_value: bytes | None) -> Learned:
    """What the spool keeps; nothing if it can't be read."""
    if spool_value is None:
        return Learned()
    try:
        return _decode(spool_value)
    except (msgspec.MsgspecError, ValueError):
        return Learned()
