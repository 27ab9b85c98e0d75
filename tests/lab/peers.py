"""The same county watched by Prometheus, blackbox_exporter, node_exporter and Alertmanager, as a good technician sets them up.

From the centre: a ping of every line, and portal, streams and resolver as the centre sees them. At each site a
blackbox_exporter, scraped through the line by a forwarded port, which tries gateway, modem, provider, resolver, portal and
stream from there, and a node_exporter for its disk. Rules hold for 3 s, causes inhibit their symptoms, mails are grouped by
alert and access node, and out of classes a PC that is off bothers nobody.
"""

import json
import os
import re
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.network import (
    ALL_SITES,
    ANCHORS,
    BEHIND_A_ROUTER,
    MEDIA_NAME,
    PORTAL,
    PORTAL_NAME,
    RESOLVER,
    County,
    wait_for_server,
)
from lab.scenario import Scenario
from lab.servers import Servers
from support.name_servers import system_files
from support.post_office import Letter, PostOffice, post_office
from support.rig import Process
from support.wait import wait_until

PROGRAMS = ("prometheus", "prometheus-alertmanager", "prometheus-blackbox-exporter", "prometheus-node-exporter")
_HOLD = "3s"
_PROMETHEUS, _ALERTS, _PROBER, _NODE = 9090, 9093, 9115, 9100
_FREE = 8 * 2**20
_GROUPED_S = 4
_START = 'mount --bind "$1/resolv.conf" /etc/resolv.conf && mount --bind "$1/hosts" /etc/hosts && shift && exec "$@"'


class Peers:
    """All of them, running; ``end`` kills them by process id."""

    def __init__(self, network: County, servers: Servers, folder: Path, sites: Sequence[str], post: PostOffice) -> None:
        self._network, self._folder, self._sites, self._post = network, folder, tuple(sites), post
        self._etc = {site: system_files(_made(folder / site), RESOLVER) for site in (*sites, "centre")}
        self._running: dict[str, Process] = {}
        self._seen = 0
        (folder / "blackbox.yaml").write_text(json.dumps(_blackbox(servers.ca_file)))
        (folder / "rules.yaml").write_text(json.dumps(_rules()))
        (folder / "prometheus.yaml").write_text(json.dumps(_prometheus(sites)))

    def start(self) -> None:
        centre, data = self._network.platform, _made(self._folder / "data")
        for site in self._sites:
            self._network.build(site)
            self._forward(site)
            self.power(site, on=True)
        self._run("prober-centre", centre, "centre", ["prometheus-blackbox-exporter", *self._prober("127.0.0.1")])
        self._classes(on=True)
        alerts = [f"--web.listen-address=127.0.0.1:{_ALERTS}", "--cluster.listen-address=", f"--storage.path={data}/alerts"]
        config = f"--config.file={self._folder}/alerts.yaml"
        self._run("alertmanager", centre, "centre", ["prometheus-alertmanager", config, *alerts])
        wait_for_server(self._network, centre, "127.0.0.1", _ALERTS)
        listen = [f"--web.listen-address=127.0.0.1:{_PROMETHEUS}", f"--storage.tsdb.path={data}/series"]
        config = f"--config.file={self._folder}/prometheus.yaml"
        self._run("prometheus", centre, "centre", ["prometheus", config, *listen])
        wait_for_server(self._network, centre, "127.0.0.1", _PROMETHEUS)

    def begin(self, scenario: Scenario) -> None:
        """Before a scenario: they know whether a class is on, nothing fires, and old mail is put away."""
        self._classes(on=bool(scenario.lesson) or not scenario.centre)
        for site in self._sites:
            self.set_resolver(site, RESOLVER)
        wait_until(self._quiet, lambda: f"nothing fires any more: {self._firing()}", 120, 1)
        self._seen = len(self._post.letters)

    def letters(self) -> list[Letter]:
        """What was mailed since ``begin``, once nothing fires any more and what was grouped is on its way."""
        wait_until(self._quiet, lambda: f"nothing fires any more: {self._firing()}", 120, 1)
        time.sleep(_GROUPED_S)
        return self._post.letters[self._seen :]

    def power(self, site: str, *, on: bool) -> None:
        """The programs at a site live and die with its PC."""
        if site not in self._sites:
            return
        if not on:
            self._running.pop(f"prober-{site}").kill()
            self._running.pop(f"node-{site}").kill()
            return
        pc = self._network.pcs[site]
        self._run(f"prober-{site}", pc, site, ["prometheus-blackbox-exporter", *self._prober("0.0.0.0")])
        node = ["--collector.disable-defaults", "--collector.filesystem", f"--web.listen-address=:{_NODE}"]
        self._run(f"node-{site}", pc, site, ["prometheus-node-exporter", *node])

    def set_resolver(self, site: str, address: str) -> None:
        if site in self._sites:
            (self._etc[site] / "resolv.conf").write_text(f"nameserver {address}\n")

    def end(self) -> None:
        for process in self._running.values():
            process.kill()
        self._running.clear()

    def _prober(self, address: str) -> list[str]:
        return [f"--config.file={self._folder}/blackbox.yaml", f"--web.listen-address={address}:{_PROBER}"]

    def _forward(self, site: str) -> None:
        """The modem passes two ports on to the PC, so that it can be scraped from the centre."""
        modem, pc = self._network.modems[site], f"10.77.{ALL_SITES.index(site)}.2"
        self._network.on(modem, "nft", "add chain ip nat in { type nat hook prerouting priority dstnat ; }")
        for port in (_PROBER, _NODE):
            self._network.on(modem, "nft", f"add rule ip nat in iifname wan tcp dport {port} dnat to {pc}")

    def _classes(self, *, on: bool) -> None:
        (self._folder / "alerts.yaml").write_text(json.dumps(_alerts(self._post.port, in_class=on)))
        if "alertmanager" in self._running:
            os.kill(self._running["alertmanager"].pid, signal.SIGHUP)

    def _quiet(self) -> bool:
        return not self._firing()

    def _firing(self) -> list[Any]:
        address = f"http://127.0.0.1:{_PROMETHEUS}/api/v1/alerts"
        code = f"import urllib.request as web; print(web.urlopen({address!r}, timeout=5).read().decode())"
        answer = json.loads(self._network.output(self._network.platform, "python3", "-S", "-c", code))
        return list(answer["data"]["alerts"])

    def _run(self, name: str, namespace: str, site: str, command: Sequence[str]) -> None:
        inner = ["unshare", "--mount", "sh", "-c", _START, "sh", str(self._etc[site]), *command]
        process = Process(self._network.inside(namespace, inner), self._folder / f"{name}.out")
        self._running[name] = process
        process.start()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _blackbox(ca_file: str) -> dict[str, Any]:
    four = {"preferred_ip_protocol": "ip4", "ip_protocol_fallback": False}
    names = {"query_name": PORTAL_NAME, "query_type": "A", **four}
    honest = {"validate_answer_rrs": {"fail_if_not_matches_regexp": [f".*{re.escape(PORTAL)}"]}}
    return {
        "modules": {
            "ping": {"prober": "icmp", "icmp": four},
            "page": {"prober": "http", "http": {**four, "tls_config": {"ca_file": ca_file}}},
            "playlist": {"prober": "http", "http": {**four, "fail_if_body_not_matches_regexp": ["^#EXTM3U"]}},
            "names": {"prober": "dns", "dns": {**names, **honest}},
        }
    }


def _prometheus(sites: Sequence[str]) -> dict[str, Any]:
    jobs = [
        _from_centre("line", "ping", {site: _line_of(site) for site in sites}),
        _from_centre("centre_portal", "page", {"": f"http://{PORTAL_NAME}/"}),
        _from_centre("centre_media", "playlist", {"": f"http://{MEDIA_NAME}/live.m3u8"}),
        _from_centre("centre_names", "names", {"": RESOLVER}),
        {"job_name": "pc", "static_configs": [_target(f"{_line_of(site)}:{_NODE}", site) for site in sites]},
    ]
    for site in sites:
        scheme = "https" if site == "c" else "http"
        tries = {
            "gateway": ("ping", f"10.77.{ALL_SITES.index(site)}.1"),
            "provider": ("ping", ANCHORS[0]),
            "names": ("names", RESOLVER),
            "portal": ("page", f"{scheme}://{PORTAL_NAME}/"),
            "media": ("playlist", f"http://{MEDIA_NAME}/live.m3u8"),
        }
        if site == BEHIND_A_ROUTER:
            tries["modem"] = ("ping", "192.168.100.1")
        jobs += [_at_site(site, rung, module, target) for rung, (module, target) in tries.items()]
    return {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"},
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{_ALERTS}"]}]}]},
        "rule_files": ["rules.yaml"],
        "scrape_configs": jobs,
    }


def _line_of(site: str) -> str:
    return f"10.67.{ALL_SITES.index(site)}.2"


def _labels(site: str) -> dict[str, str]:
    return {"site": site, "node": "OLT-01" if site in "ab" else "OLT-02"} if site else {}


def _target(target: str, site: str) -> dict[str, Any]:
    return {"targets": [target], "labels": _labels(site)}


def _from_centre(job: str, module: str, targets: dict[str, str]) -> dict[str, Any]:
    """The documented way to ask blackbox_exporter for many targets: the target becomes a parameter."""
    relabel = [
        {"source_labels": ["__address__"], "target_label": "__param_target"},
        {"target_label": "__address__", "replacement": f"127.0.0.1:{_PROBER}"},
    ]
    static = [_target(target, site) for site, target in targets.items()]
    return {
        "job_name": job,
        "metrics_path": "/probe",
        "params": {"module": [module]},
        "static_configs": static,
        "relabel_configs": relabel,
    }


def _at_site(site: str, rung: str, module: str, target: str) -> dict[str, Any]:
    return {
        "job_name": f"{rung}_{site}",
        "metrics_path": "/probe",
        "params": {"module": [module], "target": [target]},
        "static_configs": [_target(f"{_line_of(site)}:{_PROBER}", site)],
        "relabel_configs": [{"target_label": "job", "replacement": rung}],
    }


def _rules() -> dict[str, Any]:
    """What a technician can know from there, and whose job it then is."""
    return {
        "groups": [
            {
                "name": "county",
                "rules": [
                    _rule("AccessNodeDown", 'count by (node) (probe_success{job="line"} == 0) >= 2', "telecom"),
                    _rule("LineDown", 'probe_success{job="line"} == 0', "telecom"),
                    _rule("SiteDown", 'up{job="pc"} == 0', "technician"),
                    _rule("GatewayDown", 'probe_success{job="gateway"} == 0', "site"),
                    _rule("ModemDown", 'probe_success{job="modem"} == 0', "site"),
                    _rule("ProviderUnreachable", 'probe_success{job="provider"} == 0', "telecom"),
                    _rule("PingLoss", 'avg_over_time(probe_success{job="provider"}[5m]) < 0.95', "telecom", "60s"),
                    _rule("ResolverDown", 'probe_success{job="centre_names"} == 0', "telecom"),
                    _rule("NamesFail", 'probe_success{job="names"} == 0', "telecom"),
                    _rule("PortalDown", 'probe_success{job="centre_portal"} == 0', "platform"),
                    _rule("PortalUnreachable", 'probe_success{job="portal"} == 0', "technician"),
                    _rule("MediaDown", 'probe_success{job="centre_media"} == 0', "platform"),
                    _rule("MediaUnreachable", 'probe_success{job="media"} == 0', "technician"),
                    _rule("DiskFull", f'node_filesystem_avail_bytes{{mountpoint=~".*/state"}} < {_FREE}', "technician"),
                ],
            }
        ]
    }


def _rule(name: str, expression: str, party: str, hold: str = _HOLD) -> dict[str, Any]:
    return {"alert": name, "expr": expression, "for": hold, "labels": {"party": party}}


_SYMPTOMS_OF_A_SITE = "GatewayDown|ModemDown|ProviderUnreachable|PingLoss|NamesFail|PortalUnreachable|MediaUnreachable"


def _alerts(post: int, *, in_class: bool) -> dict[str, Any]:
    parties = ("telecom", "technician", "site", "platform", "management")
    receivers = [{"name": party, "email_configs": [{"to": f"{party}@county.test", "send_resolved": True}]} for party in parties]
    out_of_class: dict[str, Any] = {} if in_class else {"mute_time_intervals": ["now"]}
    off = {"receiver": "technician", "matchers": ["alertname=SiteDown"], **out_of_class}
    return {
        "global": {"smtp_smarthost": f"127.0.0.1:{post}", "smtp_from": "alerts@county.test", "smtp_require_tls": False},
        "route": {
            "receiver": "technician",
            "group_by": ["alertname", "node"],
            "group_wait": "1s",
            "group_interval": "2s",
            "repeat_interval": "4h",
            "routes": [off, *({"receiver": party, "matchers": [f"party={party}"]} for party in parties)],
        },
        "inhibit_rules": [
            _inhibit("alertname=AccessNodeDown", 'alertname=~"LineDown|SiteDown"', "node"),
            _inhibit("alertname=LineDown", f'alertname=~"SiteDown|{_SYMPTOMS_OF_A_SITE}"', "site"),
            _inhibit('alertname=~"GatewayDown|ModemDown|ProviderUnreachable"', 'alertname=~"NamesFail|.*Unreachable"', "site"),
            _inhibit("alertname=ResolverDown", 'alertname=~"NamesFail|.*Unreachable|PortalDown|MediaDown"'),
            _inhibit("alertname=NamesFail", 'alertname=~"PortalUnreachable|MediaUnreachable"', "site"),
            _inhibit("alertname=PortalDown", "alertname=PortalUnreachable"),
            _inhibit("alertname=MediaDown", "alertname=MediaUnreachable"),
        ],
        "receivers": receivers,
        "time_intervals": [{"name": "now", "time_intervals": [{"times": [{"start_time": "00:00", "end_time": "24:00"}]}]}],
    }


def _inhibit(source: str, target: str, *equal: str) -> dict[str, Any]:
    return {"source_matchers": [source], "target_matchers": [target], "equal": list(equal)}


@contextmanager
def peers(network: County, servers: Servers, folder: Path, sites: Sequence[str]) -> Iterator[Peers]:
    """Prometheus and what belongs to it, watching ``sites`` until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with post_office(network.listen(network.platform, "127.0.0.1")) as post:
        made = Peers(network, servers, folder, sites, post)
        try:
            made.start()
            yield made
        finally:
            made.end()
