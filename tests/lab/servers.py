"""The county's servers: nginx for portal and media, ffmpeg as the live channel, dnsmasq for names, each to be broken."""

import shutil
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

from lab.network import (
    BROKER,
    MEDIA,
    MEDIA_NAME,
    PORTAL,
    PORTAL_NAME,
    PRIVATE,
    PROXY,
    RESOLVER,
    STRANGER,
    County,
    wait_for_server,
)
from support.brokers import MOSQUITTO
from support.name_servers import answer
from support.rig import Process
from support.wait import wait_until
from support.web_servers import request_of

BROKER_PORT = 1883
PROXY_PORT = 3128
HONEST = (f"--address=/{PORTAL_NAME}/{PORTAL}", f"--address=/{MEDIA_NAME}/{MEDIA}")
INTRANET = (f"--address=/{PORTAL_NAME}/{PRIVATE}", f"--address=/{MEDIA_NAME}/{MEDIA}")
"""The portal's name leads to a private address; of names outside nothing is known."""
EXPIRED = "-100 days"
"""When the certificate was made that is over by now (``faketime``)."""
LYING = ("--address=/#/10.66.66.66",)
_PAGE = "<!doctype html><title>portal</title><p>课程</p>"
_BROKER = f"""
listener {BROKER_PORT}
allow_anonymous true
max_inflight_messages 0
max_queued_messages 0
set_tcp_nodelay true
user root
"""
_NGINX = """
daemon off;
master_process off;
pid {folder}/{name}.pid;
error_log {folder}/{name}.log;
events {{ worker_connections 64; }}
http {{
    types {{ text/html html; application/vnd.apple.mpegurl m3u8; video/mp2t ts; }}
    access_log off;
    client_body_temp_path {folder}/temp; proxy_temp_path {folder}/temp; fastcgi_temp_path {folder}/temp;
    uwsgi_temp_path {folder}/temp; scgi_temp_path {folder}/temp;
    {servers}
}}
"""


class Servers:
    """All of the centre's and the provider's servers but the collector. Every process of them is ended by ``end``."""

    def __init__(self, network: County, folder: Path) -> None:
        self._network, self._folder = network, folder
        self._running: dict[str, Process] = {}
        self._truncating: socket.socket | None = None
        self._slow: socket.socket | None = None
        self._certificate = {name: _certificate(folder, name) for name in (PORTAL_NAME, "elsewhere.example.cn")}
        self._certificate["expired"] = _certificate(folder, PORTAL_NAME, EXPIRED)
        trusted = folder / "trusted.crt"
        trusted.write_text("".join(self._certificate[name][0].read_text() for name in (PORTAL_NAME, "expired")))
        self.ca_file = str(trusted)
        for sub in ("portal", "media", "temp"):
            (folder / sub).mkdir()
        (folder / "portal" / "index.html").write_text(_PAGE)

    def start(self) -> None:
        """Everything as it should be."""
        self.broker()
        self.names(*HONEST)
        self.portal()
        self.media()
        self.channel()
        page = f"server {{ listen {STRANGER}:80; location / {{ return 302 http://{STRANGER}/pay; }} }}"
        self._nginx("stranger", self._network.isp, page)
        wait_for_server(self._network, self._network.isp, STRANGER, 80)

    def broker(self) -> None:
        assert MOSQUITTO is not None, "mosquitto is not installed"
        file = self._folder / "mosquitto.conf"
        file.write_text(_BROKER)
        self._run("broker", self._network.platform, [MOSQUITTO, "-c", str(file)])
        wait_for_server(self._network, self._network.platform, BROKER, BROKER_PORT)

    def names(self, *options: str) -> None:
        """The provider's resolver answers by these options of dnsmasq alone."""
        plain = ("--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file", "--user=root")
        listen = (f"--listen-address={RESOLVER}", "--bind-interfaces", "--log-facility=-")
        self._run("names", self._network.isp, ["dnsmasq", *plain, *listen, *options])
        wait_for_server(self._network, self._network.isp, RESOLVER, 53)

    def portal(self, answer: str = "", certificate: str = PORTAL_NAME) -> None:
        """Serve the portal; ``answer`` is an nginx directive that stands in the place of its page."""
        page, key = self._certificate[certificate]
        inner = f"root {self._folder}/portal; location / {{ {answer} }}"
        self._nginx(
            "portal",
            self._network.platform,
            f"server {{ listen {PORTAL}:80; listen {PRIVATE}:80; {inner} }}"
            f"server {{ listen {PORTAL}:443 ssl; ssl_certificate {page}; ssl_certificate_key {key}; {inner} }}",
        )
        wait_for_server(self._network, self._network.platform, PORTAL, 443)

    def media(self, answer: str = "", playlist: str = "") -> None:
        """Serve the streams; ``answer`` stands in the place of segments, ``playlist`` in that of playlists."""
        root = f"root {self._folder}/media;"
        inner = f"{root} location ~ [.]ts$ {{ {answer} }} location ~ [.]m3u8$ {{ {playlist} }}"
        self._nginx("media", self._network.platform, f"server {{ listen {MEDIA}:80; {inner} }}")
        wait_for_server(self._network, self._network.platform, MEDIA, 80)

    def truncate_media(self) -> None:
        """Segments break off in the middle, as from a server whose disk is failing. nginx can't be told to do that."""
        self.stop("media")
        listener = self._network.listen(self._network.platform, MEDIA, 80)
        self._truncating = listener
        threading.Thread(target=self._break_off, args=(listener,), name="truncating", daemon=True).start()

    def slow_names(self, delay_s: float) -> None:
        """A resolver that is asked too much: each answer is right, and comes late."""
        self.stop("names")
        self._slow = self._network.datagrams(self._network.isp, RESOLVER, 53)
        threading.Thread(target=self._answer_late, args=(self._slow, delay_s), name="slow names", daemon=True).start()

    def proxy(self) -> None:
        """The way to the web that some networks prescribe: plain pages by a proxy."""
        forward = (
            f"resolver {RESOLVER} ipv6=off; location / {{ proxy_pass http://$http_host$request_uri; proxy_read_timeout 1s; }}"
        )
        self._nginx("proxy", self._network.isp, f"server {{ listen {PROXY}:{PROXY_PORT}; {forward} }}")
        wait_for_server(self._network, self._network.isp, PROXY, PROXY_PORT)

    def channel(self) -> None:
        """A live channel: small, and a segment a second."""
        files, list_file = self._folder / "media", self._folder / "media" / "live.m3u8"
        for file in files.iterdir():
            file.unlink()
        hls = ("-f", "hls", "-hls_time", "1", "-hls_list_size", "6", "-hls_flags", "delete_segments")
        coding = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "5", "-b:v", "200k")
        source = ("-re", "-f", "lavfi", "-i", "testsrc=size=160x120:rate=5")
        program = ["ffmpeg", "-nostdin", "-loglevel", "error", *source, *coding, *hls, str(list_file)]
        self._run("channel", self._network.platform, program)
        wait_until(list_file.exists, lambda: f"the channel is on the air\n{self._running['channel'].log()}", 60)

    def stop(self, name: str) -> None:
        if self._truncating is not None and name == "media":
            with suppress(OSError):
                self._truncating.shutdown(socket.SHUT_RDWR)
            self._truncating.close()
            self._truncating = None
        if self._slow is not None and name == "names":
            slow, self._slow = self._slow, None
            with suppress(OSError):
                slow.shutdown(socket.SHUT_RDWR)
            slow.close()
        if name in self._running:
            self._running.pop(name).kill()

    def end(self) -> None:
        for name in list(self._running):
            self.stop(name)
        self.stop("media")
        self.stop("names")

    def log(self) -> str:
        return "\n".join(f"{name}: {process.log()[-400:]}" for name, process in self._running.items())

    def _nginx(self, name: str, namespace: str, servers: str) -> None:
        nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin")
        assert nginx is not None, "nginx is not installed"
        file = self._folder / f"{name}.conf"
        file.write_text(_NGINX.format(folder=self._folder, name=name, servers=servers))
        self._run(name, namespace, [nginx, "-c", str(file), "-e", str(self._folder / f"{name}.log")])

    def _run(self, name: str, namespace: str, command: list[str]) -> None:
        self.stop(name)
        process = Process(self._network.inside(namespace, command), self._folder / f"{name}.out")
        self._running[name] = process
        process.start()

    def _break_off(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(2)
                path = request_of(connection).split(b" ", 2)[1].decode()
                connection.sendall(self._answer(path))

    def _answer_late(self, sock: socket.socket, delay_s: float) -> None:
        while self._slow is sock:
            try:
                query, client = sock.recvfrom(4096)
            except OSError:
                return
            if query:
                threading.Timer(delay_s, _send, (sock, _answer_of(query), client)).start()

    def _answer(self, path: str) -> bytes:
        if path.endswith(".ts"):
            return b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nContent-Length: 65536\r\n\r\n" + b"G" * 1000
        body = (self._folder / "media" / "live.m3u8").read_bytes()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.apple.mpegurl\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


def _send(sock: socket.socket, datagram: bytes, client: tuple[str, int]) -> None:
    with suppress(OSError):  # it was closed meanwhile
        sock.sendto(datagram, client)


def _answer_of(query: bytes) -> bytes:
    """The right answer to a question for an IPv4 address of the portal or the streams; for others there is none."""
    wanted = PORTAL if PORTAL_NAME.split(".")[0].encode() in query else MEDIA
    four = query[12:].partition(b"\0")[2][:2] == b"\x00\x01"
    return answer(query, *([wanted] if four else []))


def _certificate(folder: Path, name: str, made_at: str = "") -> tuple[Path, Path]:
    """A certificate that signs itself, and its key; ``made_at``: as if it had been made then, for 30 days."""
    stem = "expired" if made_at else name
    certificate, key = folder / f"{stem}.crt", folder / f"{stem}.key"
    days = "30" if made_at else "300"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", days]
    names = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out", str(certificate)]
    then = ["faketime", made_at] if made_at else []
    subprocess.run([*then, *command, *names], check=True, capture_output=True, timeout=60)
    return certificate, key
