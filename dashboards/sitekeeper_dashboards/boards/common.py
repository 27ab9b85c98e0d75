"""Thresholds that several dashboards share."""

from sitekeeper_dashboards.model import Step
from sitekeeper_dashboards.words import Colour

NONE_IS_GOOD = (Step(at=None, colour=Colour.GOOD), Step(at=1, colour=Colour.TROUBLE), Step(at=10, colour=Colour.FAULT))
HOURS_OF_OUTAGE = (
    Step(at=None, colour=Colour.GOOD),
    Step(at=3600, colour=Colour.POOR),
    Step(at=4 * 3600, colour=Colour.TROUBLE),
    Step(at=24 * 3600, colour=Colour.FAULT),
)
"""Seconds of a site within the range."""
CLOCKS = (
    Step(at=None, colour=Colour.GOOD),
    Step(at=48 * 3600, colour=Colour.TROUBLE),
    Step(at=72 * 3600, colour=Colour.FAULT),
)
"""The usual limits of repair: 48 h in towns, 72 h in villages."""
LOSS = (Step(at=None, colour=Colour.GOOD), Step(at=0.02, colour=Colour.POOR), Step(at=0.05, colour=Colour.FAULT))
"""5 % is where ``line_degraded`` begins."""
REBUFFERING = (Step(at=None, colour=Colour.GOOD), Step(at=0.01, colour=Colour.POOR), Step(at=0.02, colour=Colour.FAULT))
"""2 % is where ``playback_stalling`` begins (CTA-2066 for the ratio)."""
LATENCY_MS = (Step(at=None, colour=Colour.GOOD), Step(at=150, colour=Colour.POOR), Step(at=400, colour=Colour.TROUBLE))
STARTUP_MS = (Step(at=None, colour=Colour.GOOD), Step(at=3000, colour=Colour.POOR), Step(at=10_000, colour=Colour.TROUBLE))
PLAIN = (Step(at=None, colour=Colour.PLAIN),)
RATE = (
    Step(at=None, colour=Colour.FAULT),
    Step(at=0.9, colour=Colour.TROUBLE),
    Step(at=0.95, colour=Colour.POOR),
    Step(at=0.98, colour=Colour.GOOD),
)
UNKNOWN_SHARE = (Step(at=None, colour=Colour.AWAY), Step(at=0.2, colour=Colour.SUSPECTED))
"""Not knowing is no fault of a site: its colours are none of a fault's."""
