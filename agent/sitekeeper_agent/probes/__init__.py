"""What the agent measures: one probe is one function of one type, and one line here."""

from collections.abc import Mapping
from types import MappingProxyType

from sitekeeper_agent.probes import address, dns, equipment, gateway, host, isp, link, media, modem, portal, settings
from sitekeeper_agent.probes.dns import resolver
from sitekeeper_agent.probes.probe import Context, Findings, Portal, Probe, network_identity, parse_portal, paths
from sitekeeper_protocol.vocabulary import Rung

PROBES: Mapping[str, Probe] = MappingProxyType(
    {
        "host": host.probe,
        "equipment": equipment.probe,
        "link": link.probe,
        "address": address.probe,
        "gateway": gateway.probe,
        "modem": modem.probe,
        "isp": isp.probe,
        "dns": dns.probe,
        "portal": portal.probe,
        "media": media.probe,
        "settings": settings.probe,
    }
)

RUNGS: Mapping[str, Rung] = MappingProxyType({rung.name.lower(): rung for rung in Rung})
"""The rung that a probe of this name answers for."""

__all__ = ["PROBES", "RUNGS", "Context", "Findings", "Portal", "Probe", "network_identity", "parse_portal", "paths", "resolver"]
