"""Text of Mosquitto's configuration and access list, for version 2.0.11 (Debian 12) and later.

Pure: settings in, text out. The reasons for each number stand beside it in the text, where the operator reads them.
"""

from pathlib import Path
from typing import NamedTuple

from sitekeeper_protocol.codec import MAX_REPORT_BYTES
from sitekeeper_protocol.topics import FROM_AGENT, TO_AGENT, subscription

TAIL = "tail"
"""User of ``sitekeeper-collector tail``. It is not the collector's, since the broker makes the user name the client id and
lets a second connection of a client id push out the first."""

MESSAGE_BYTES = MAX_REPORT_BYTES + 8 * 1024
PACKET_BYTES = MESSAGE_BYTES + 8 * 1024
MAX_KEEPALIVE_S = 7200
QUEUED_MESSAGES = 1_000_000
QUEUED_MIB = 512
INFLIGHT_MESSAGES = 2_000


class Tls(NamedTuple):
    """PEM files of the TLS listener. ``authority`` is needed only where clients show certificates."""

    certificate: Path
    key: Path
    authority: Path | None = None


class BrokerPlan(NamedTuple):
    """What a configuration is made of. At least one of ``tls`` and ``plain_port`` is given."""

    folder: Path
    persistence: Path
    collector: str = "collector"
    tls: Tls | None = None
    tls_port: int = 8883
    plain_port: int | None = None
    """A listener without TLS, on the loopback address only."""

    @property
    def password_file(self) -> Path:
        """User names and hashes."""
        return self.folder / "passwords"

    @property
    def acl_file(self) -> Path:
        """Who may say and hear what."""
        return self.folder / "acl"


_GENERAL = """\
# Written by `sitekeeper-collector broker config`; written again by it, so don't edit this file.
# It is a whole configuration: it stands in place of /etc/mosquitto/mosquitto.conf.

allow_anonymous false
password_file {passwords}
acl_file {acl}

# Sessions and queued messages survive a restart of the broker. They are saved every minute, not as they come: what a power
# cut takes from the queue was never confirmed by a receipt, so the agents send it again.
persistence true
persistence_location {persistence}/
autosave_interval 60

# A session that nobody has come back to in this time is given up, with its queue.
persistent_client_expiration 8d

# How many messages may be on their way to one client at a time. The default of 20 makes a round trip the limit; the
# collector commits up to 500 in one go, and this leaves it some batches ahead.
max_inflight_messages {inflight}

# What waits for one client that is slow or away. Beyond the default of 1000 messages Mosquitto drops silently, which is 50
# minutes of 100 sites. These limits hold about 4 hours of 20,000 sites at a report every 5 minutes. What is dropped even
# so gets no receipt, and the agents send it again.
max_queued_messages {queued_messages}
max_queued_bytes {queued_bytes}

# A report has at most {report_kib} KiB. A larger payload is dropped; a packet that can't hold one any more costs its sender the
# connection, before the broker has spent memory on it.
message_size_limit {message_bytes}
max_packet_size {packet_bytes}

# Agents keep the connection open with pings that are rarer than their reports. This is above what any agent asks for: a
# broker that asks for less cuts off clients that don't look at its answer.
max_keepalive {keepalive}

log_dest stderr
log_type error
log_type warning
log_type notice
"""

_LISTENER = """
listener {port}{address}
# The user name takes the place of the client id: nobody can push out another by taking its id.
use_username_as_clientid true
set_tcp_nodelay true
"""


def configuration(plan: BrokerPlan) -> str:
    """Content of ``mosquitto.conf``."""
    text = _GENERAL.format(
        passwords=plan.password_file,
        acl=plan.acl_file,
        persistence=str(plan.persistence).rstrip("/"),
        inflight=INFLIGHT_MESSAGES,
        queued_messages=QUEUED_MESSAGES,
        queued_bytes=QUEUED_MIB * 1024 * 1024,
        report_kib=MAX_REPORT_BYTES // 1024,
        message_bytes=MESSAGE_BYTES,
        packet_bytes=PACKET_BYTES,
        keepalive=MAX_KEEPALIVE_S,
    )
    if plan.tls is not None:
        text += _LISTENER.format(port=plan.tls_port, address="")
        text += f"certfile {plan.tls.certificate}\nkeyfile {plan.tls.key}\ntls_version tlsv1.2\n"
        if plan.tls.authority is not None:
            text += f"cafile {plan.tls.authority}\n"
    if plan.plain_port is not None:
        text += "\n# Without TLS, for programs on this machine only.\n"
        text += _LISTENER.format(port=plan.plain_port, address=" 127.0.0.1").lstrip("\n")
    return text


def echo_topic(collector: str) -> str:
    """Where the collector sends itself messages to see that the broker carries them."""
    return f"sk/collector/{collector}/echo"


def access_list(collector: str) -> str:
    """Content of the access list: what is not named here is refused."""
    lines = [
        "# Written by `sitekeeper-collector broker config`; written again by it, so don't edit this file.",
        "",
        f"user {collector}",
        *(f"topic read {subscription(leaf)}" for leaf in FROM_AGENT),
        *(f"topic write {subscription(leaf)}" for leaf in TO_AGENT),
        f"topic readwrite {echo_topic(collector)}",
        "",
        "# Looks on, says nothing.",
        f"user {TAIL}",
        *(f"topic read {subscription(leaf)}" for leaf in (*FROM_AGENT, *TO_AGENT)),
        "",
        "# Sites: %u is the user name, which is the site id. Patterns hold for every user, so no site may be named like the",
        "# users above.",
        *(f"pattern write {subscription(leaf).replace(f'/+/{leaf}', f'/%u/{leaf}')}" for leaf in FROM_AGENT),
        *(f"pattern read {subscription(leaf).replace(f'/+/{leaf}', f'/%u/{leaf}')}" for leaf in TO_AGENT),
    ]
    return "\n".join(lines) + "\n"
