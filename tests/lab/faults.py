"""What can be done to the county, by the words that scenarios use: ``cable_pulled a``. Each is an entry of ``DEEDS``."""

import signal
import sqlite3
from collections.abc import Callable

from lab.network import ALL_SITES, PORTAL, RESOLVER, STRANGER
from lab.servers import HONEST, INTRANET, LYING
from lab.stage import Stage

_A_PAGE = "default_type text/html; types { } return 200 '<html><title>sorry</title></html>';"
Deed = Callable[[Stage, str], None]


def do(stage: Stage, words: str) -> None:
    """Do what ``words`` say: the name of a deed, then whom it befalls, if anybody. Raises ``KeyError`` for an unknown one."""
    name, _, whom = words.partition(" ")
    DEEDS[name](stage, whom)


def _line_down(stage: Stage, site: str) -> None:
    stage.network.drop(stage.network.access_of(site), f"iifname {stage.network.port(site)}")


def _access_node_down(stage: Stage, number: str) -> None:
    access = stage.network.accesses[int(number) - 1]
    stage.network.drop(access, "iifname != lo")


def _modem_down(stage: Stage, site: str) -> None:
    stage.network.drop(stage.network.modems[site], "iifname lan")


def _loss(stage: Stage, words: str) -> None:
    site, percent = words.split()
    rule = f"iifname {stage.network.port(site)} numgen random mod 100 < {int(percent)}"
    stage.network.drop(stage.network.access_of(site), rule)


def _slow_line(stage: Stage, words: str) -> None:
    site, rate = words.split()
    stage.network.slow_down(site, rate)


def _portal_unreachable(stage: Stage, site: str) -> None:
    """For one site alone, as by a filter that somebody has set."""
    rule = f"iifname {stage.network.port(site)} ip daddr {PORTAL}"
    stage.network.drop(stage.network.access_of(site), rule)


def _blocked(stage: Stage, words: str) -> None:
    """Nobody at the site gets through to a port, as behind a filter."""
    site, port = words.split()
    rule = f"iifname {stage.network.port(site)} tcp dport {int(port)}"
    stage.network.drop(stage.network.access_of(site), rule)


def _no_way_past_the_proxy(stage: Stage, _: str) -> None:
    stage.servers.proxy()
    for access in stage.network.accesses:
        stage.network.drop(access, f"iifname != north ip daddr {PORTAL} tcp dport {{ 80, 443 }}")


def _pings_dropped(stage: Stage, _: str) -> None:
    """The provider lets no echo through, and its routers answer none."""
    stage.network.drop(stage.network.isp, "icmp type echo-request")
    for access in stage.network.accesses:
        stage.network.drop(access, "icmp type echo-request")


def _resolver_by_hand(stage: Stage, site: str) -> None:
    """Somebody has typed in a resolver that is none."""
    stage.set_resolver(site, STRANGER, by_hand=True)


def _gateway_names(stage: Stage, site: str) -> None:
    stage.village.serve_names(site)
    stage.set_resolver(site, f"10.77.{ALL_SITES.index(site)}.1")


def _player_opens(stage: Stage, site: str) -> None:
    agent = stage.agents[site]
    stage.village.play(site, agent.etc, agent.folder / "mpv.sock")


def _database_locked(stage: Stage, _: str) -> None:
    """Another program has the database for itself, so that nothing can be written."""
    assert stage.centre is not None, "no collector takes part"
    lock = sqlite3.connect(stage.centre.collector.database, timeout=30, isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    stage.locks.append(lock)


def _database_free(stage: Stage, _: str) -> None:
    stage.unlock()


def _disk_full(stage: Stage, site: str) -> None:
    """Fill what is left of the site's disk, to the last block."""
    filler = stage.agents[site].state / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            return


def _power_cut(stage: Stage, sites: str) -> None:
    for site in sites.split():
        stage.power(site, on=False)


def _power_back(stage: Stage, sites: str) -> None:
    for site in sites.split():
        stage.power(site, on=True)


def _collector(stage: Stage, deed: str) -> None:
    assert stage.centre is not None, "no collector takes part"
    if deed == "killed":
        stage.centre.collector.kill()
    else:
        stage.centre.collector.start()


DEEDS: dict[str, Deed] = {
    "cable_pulled": lambda stage, site: stage.network.cable(site, "down"),
    "cpe_hung": lambda stage, site: stage.network.hang(site),
    "modem_down": _modem_down,
    "line_down": _line_down,
    "access_node_down": _access_node_down,
    "loss": _loss,
    "slow_line": _slow_line,
    "captive_page": lambda stage, site: stage.network.lead_astray(site),
    "network_healed": lambda stage, _: stage.network.heal(),
    "resolver_dead": lambda stage, _: stage.servers.stop("names"),
    "resolver_lying": lambda stage, _: stage.servers.names(*LYING),
    "resolver_healed": lambda stage, _: stage.servers.names(*HONEST),
    "resolver_slow": lambda stage, delay_s: stage.servers.slow_names(float(delay_s)),
    "resolver_of_an_intranet": lambda stage, _: stage.servers.names(*INTRANET),
    "resolver_by_hand": _resolver_by_hand,
    "resolver_handed_out": lambda stage, site: stage.set_resolver(site, RESOLVER),
    "names_by_the_modem": _gateway_names,
    "modem_names_stopped": lambda stage, site: stage.village.stop_names(site),
    "modem_names_healed": lambda stage, site: stage.village.serve_names(site),
    "address_by_dhcp": lambda stage, site: stage.village.lease(site),
    "dhcp_dead": lambda stage, site: stage.village.refuse_leases(site),
    "dhcp_healed": lambda stage, site: stage.village.serve_leases(site),
    "address_taken": lambda stage, site: stage.village.take_address(site),
    "address_given_back": lambda stage, site: stage.village.give_address_back(site),
    "pings_dropped": _pings_dropped,
    "proxy_prescribed": _no_way_past_the_proxy,
    "proxy_stopped": lambda stage, _: stage.servers.stop("proxy"),
    "proxy_healed": lambda stage, _: stage.servers.proxy(),
    "blocked": _blocked,
    "player_opens": _player_opens,
    "player_crashes": lambda stage, site: stage.village.kill(f"mpv-{site}"),
    "player_hangs": lambda stage, site: stage.village.signal_player(site, signal.SIGSTOP),
    "player_wakes": lambda stage, site: stage.village.signal_player(site, signal.SIGCONT),
    "player_replays": lambda stage, site: stage.village.replay(site, stage.agents[site].folder / "mpv.sock"),
    "database_locked": _database_locked,
    "database_free": _database_free,
    "portal_stopped": lambda stage, _: stage.servers.stop("portal"),
    "portal_unreachable": _portal_unreachable,
    "portal_broken": lambda stage, status: stage.servers.portal(answer=f"return {status};"),
    "portal_certificate_wrong": lambda stage, _: stage.servers.portal(certificate="elsewhere.example.cn"),
    "portal_certificate_expired": lambda stage, _: stage.servers.portal(certificate="expired"),
    "portal_healed": lambda stage, _: stage.servers.portal(),
    "media_broken": lambda stage, status: stage.servers.media(answer=f"return {status};"),
    "playlist_broken": lambda stage, status: stage.servers.media(playlist=f"return {status};"),
    "playlist_is_a_page": lambda stage, _: stage.servers.media(playlist=_A_PAGE),
    "media_truncated": lambda stage, _: stage.servers.truncate_media(),
    "media_healed": lambda stage, _: stage.servers.media(),
    "channel_stands_still": lambda stage, _: stage.servers.stop("channel"),
    "channel_healed": lambda stage, _: stage.servers.channel(),
    "disk_full": _disk_full,
    "disk_freed": lambda stage, site: (stage.agents[site].state / "filler").unlink(),
    "power_cut": _power_cut,
    "power_back": _power_back,
    "broker_killed": lambda stage, _: stage.servers.stop("broker"),
    "broker_back": lambda stage, _: stage.servers.broker(),
    "collector": _collector,
}
