"""The county's servers: nginx for portal and media, ffmpeg as the live channel, dnsmasq for names, each to be broken."""

import shutil
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

from lab.network import BROKER, MEDIA, MEDIA_NAME, PORTAL, PORTAL_NAME, RESOLVER, STRANGER, County, wait_for_server
from support.brokers import MOSQUITTO
from support.name_servers import system_files
from support.rig import Process
from support.wait import wait_until
from support.web_servers import request_of

BROKER_PORT = 1883
HONEST = (f"--address=/{PORTAL_NAME}/{PORTAL}", f"--address=/{MEDIA_NAME}/{MEDIA}")
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
        self.etc = system_files(folder, RESOLVER)
        self._certificate = {name: _certificate(folder, name) for name in (PORTAL_NAME, "elsewhere.example.cn")}
        self.ca_file = str(self._certificate[PORTAL_NAME][0])
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
            f"server {{ listen {PORTAL}:80; {inner} }}"
            f"server {{ listen {PORTAL}:443 ssl; ssl_certificate {page}; ssl_certificate_key {key}; {inner} }}",
        )
        wait_for_server(self._network, self._network.platform, PORTAL, 443)

    def media(self, answer: str = "") -> None:
        """Serve the streams; ``answer`` stands in the place of segments."""
        root = f"root {self._folder}/media;"
        inner = f"{root} location ~ [.]ts$ {{ {answer} }}"
        self._nginx("media", self._network.platform, f"server {{ listen {MEDIA}:80; {inner} }}")
        wait_for_server(self._network, self._network.platform, MEDIA, 80)

    def truncate_media(self) -> None:
        """Segments break off in the middle, as from a server whose disk is failing. nginx can't be told to do that."""
        self.stop("media")
        listener = self._network.listen(self._network.platform, MEDIA, 80)
        self._truncating = listener
        threading.Thread(target=self._break_off, args=(listener,), name="truncating", daemon=True).start()

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
        if name in self._running:
            self._running.pop(name).kill()

    def end(self) -> None:
        for name in list(self._running):
            self.stop(name)
        self.stop("media")

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

    def _answer(self, path: str) -> bytes:
        if path.endswith(".ts"):
            return b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nContent-Length: 65536\r\n\r\n" + b"G" * 1000
        body = (self._folder / "media" / "live.m3u8").read_bytes()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.apple.mpegurl\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "300"]
    names = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *names], check=True, capture_output=True, timeout=60)
    return certificate, key
