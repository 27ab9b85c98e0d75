"""Who may say and hear what at the embedded broker: the rules of the generated access list, as code.

Pure. ``broker.mosquitto.access_list`` says the same to Mosquitto; one suite of tests runs over both.
"""

from collections.abc import Collection

from sitekeeper_collector.broker.mosquitto import TAIL, echo_topic
from sitekeeper_protocol.topics import FROM_AGENT, PREFIX, TO_AGENT, Leaf


def may_publish(user: str, topic: str, collector: str) -> bool:
    """Whether ``user`` may publish to ``topic``."""
    if user == collector:
        return topic == echo_topic(collector) or _is_ours(topic, TO_AGENT)
    return user != TAIL and _is_ours(topic, FROM_AGENT, user)


def may_hear(user: str, topic: str, collector: str) -> bool:
    """Whether ``user`` may subscribe to the filter ``topic``, or receive what is published to the topic ``topic``."""
    if user == collector:
        return topic == echo_topic(collector) or _is_ours(topic, FROM_AGENT)
    if user == TAIL:
        return _is_ours(topic, tuple(Leaf))
    return _is_ours(topic, TO_AGENT, user)


def _is_ours(topic: str, leaves: Collection[Leaf], site: str | None = None) -> bool:
    levels = topic.split("/")
    return (
        len(levels) == 5
        and "/".join(levels[:2]) == PREFIX
        and levels[4] in leaves
        and "#" not in levels
        and (site is None or levels[3] == site)
    )
