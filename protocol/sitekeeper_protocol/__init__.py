"""The contract between the agent on a site PC and the collector: messages, words and the reachability ladder."""

__version__ = "0.1.0"

WIRE_VERSION = 1
"""Version of the payloads; it is also in the topic prefix ``sk/v1``."""

RELEASED_MS = 1_795_392_000_000
"""Unix time (ms) of 2026-11-23: a clock that shows less is wrong, whoever's clock it is."""
