"""What can be done to the county, by the words that scenarios use: ``cable_pulled a``. Each is an entry of ``DEEDS``."""

from collections.abc import Callable

from lab.network import PORTAL
from lab.servers import HONEST, LYING
from lab.stage import Stage

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
        stage.agents[site].kill()


def _power_back(stage: Stage, sites: str) -> None:
    for site in sites.split():
        stage.agents[site].boot_anew()


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
    "portal_stopped": lambda stage, _: stage.servers.stop("portal"),
    "portal_unreachable": _portal_unreachable,
    "portal_broken": lambda stage, status: stage.servers.portal(answer=f"return {status};"),
    "portal_certificate_wrong": lambda stage, _: stage.servers.portal(certificate="elsewhere.example.cn"),
    "portal_healed": lambda stage, _: stage.servers.portal(),
    "media_broken": lambda stage, status: stage.servers.media(answer=f"return {status};"),
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
