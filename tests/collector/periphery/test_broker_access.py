"""With the generated files a site is confined to its own topics: shown on real mosquitto and on the embedded amqtt alike."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import paho.mqtt.client as mqtt
import pytest
import trustme
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from sitekeeper_collector.broker import folder, mosquitto, passwords
from sitekeeper_collector.embedded.broker import EmbeddedBroker
from sitekeeper_protocol.codec import MAX_REPORT_BYTES
from support import brokers
from support.ports import free_port
from support.wait import wait_until

pytestmark = pytest.mark.broker

V5, V311 = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311


class Place(NamedTuple):
    """A broker that runs on generated files."""

    plan: mosquitto.BrokerPlan
    port: int
    kind: str


@contextmanager
def _mosquitto(at: Path) -> Iterator[Place]:
    plan = mosquitto.BrokerPlan(at / "etc", at / "data", plain_port=free_port())
    (at / "data").mkdir()
    folder.write(plan, ["s1", "s2"])
    assert plan.plain_port is not None
    text = (plan.folder / "mosquitto.conf").read_text()
    with brokers.mosquitto(at / "run", config_text=text, port=plan.plain_port):
        yield Place(plan, plan.plain_port, "mosquitto")


@contextmanager
def _embedded(at: Path) -> Iterator[Place]:
    plan = mosquitto.BrokerPlan(at / "etc", at / "data", plain_port=1)
    folder.write(plan, ["s1", "s2"])
    broker = EmbeddedBroker(plan.folder)
    broker.start()
    try:
        yield Place(plan, broker.port, "embedded")
    finally:
        broker.stop()


@pytest.fixture(scope="module", params=["mosquitto", "embedded"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A running broker with the sites s1 and s2."""
    with {"mosquitto": _mosquitto, "embedded": _embedded}[request.param](tmp_path_factory.mktemp(request.param)) as found:
        yield found


def _password(place: Place, user: str) -> str:
    special = {
        "collector": folder.collector_password_file(place.plan.folder),
        "tail": folder.tail_password_file(place.plan.folder),
    }
    found = folder.read_password(special.get(user, folder.site_password_file(place.plan.folder, user)))
    assert found is not None
    return found


class Person:
    """Somebody at the broker; ``heard`` collects what arrives."""

    def __init__(
        self,
        place: Place,
        user: str,
        *,
        version: MQTTProtocolVersion = V311,
        client_id: str | None = None,
        password: str | None = None,
    ) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.answers: list[int] = []
        self.ended = 0
        self.granted: list[int] = []
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=user if client_id is None else client_id,
            protocol=version,
            reconnect_on_failure=False,
        )
        self.client.username_pw_set(user, _password(place, user) if password is None else password)
        self.client.on_connect = lambda _c, _d, _f, reason, _p: self.answers.append(reason.value)
        self.client.on_disconnect = self._on_disconnect
        self.client.on_message = lambda _c, _d, message: self.heard.append((message.topic, bytes(message.payload)))
        self.client.on_subscribe = lambda _c, _d, _m, codes, _p: self.granted.extend(code.value for code in codes)
        self.client.connect("127.0.0.1", place.port)
        self.client.loop_start()
        wait_until(lambda: self.answers or self.ended, f"the broker answers {user}")

    def _on_disconnect(self, *_: object) -> None:
        self.ended += 1

    @property
    def is_in(self) -> bool:
        """Whether the broker let it in and still holds the connection."""
        return self.answers == [0] and self.client.is_connected()

    def subscribe(self, *filters: str) -> None:
        before = len(self.granted)
        self.client.subscribe([(name, 1) for name in filters])
        wait_until(lambda: len(self.granted) == before + len(filters), "the broker answers the subscription")

    def say(self, topic: str, payload: bytes) -> None:
        self.client.publish(topic, payload, qos=1)

    def leave(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def people(place: Place) -> Iterator[list[Person]]:
    """Everybody who is to leave at the end."""
    there: list[Person] = []
    yield there
    for person in there:
        person.leave()


def _versions(place: Place) -> list[MQTTProtocolVersion]:
    return [V5, V311] if place.kind == "mosquitto" else [V311]


UP = ("status", "report", "result")
DOWN = ("receipt", "config", "command")


def test_a_site_can_say_only_its_own_reports_and_nobody_else_s_nor_a_collector_s_word(
    place: Place, people: list[Person]
) -> None:
    for version in _versions(place):
        collector, other, site = (
            Person(place, "collector"),
            Person(place, "s2", version=version),
            Person(place, "s1", version=version),
        )
        people += [collector, other, site]
        collector.subscribe(*(f"sk/v1/+/+/{leaf}" for leaf in UP))
        other.subscribe(*(f"sk/v1/+/s2/{leaf}" for leaf in DOWN))
        for leaf in UP + DOWN:
            site.say(f"sk/v1/a/s2/{leaf}", b"forged")
            if leaf in DOWN:
                site.say(f"sk/v1/a/s1/{leaf}", b"forged")
        site.say("sk/collector/collector/echo", b"forged")
        site.say("sk/v1/a/s1/extra/report", b"forged")
        for leaf in UP:
            site.say(f"sk/v1/a/s1/{leaf}", b"own")
        # The last word of a connection has been judged after all the words before it.
        wait_until(lambda c=collector: len(c.heard) >= 3, "the collector hears the site's own words")  # type: ignore[misc]
        collector.say("sk/v1/a/s2/receipt", b"real")
        wait_until(lambda o=other: o.heard, "the other site hears the collector")  # type: ignore[misc]
        assert sorted(collector.heard) == sorted((f"sk/v1/a/s1/{leaf}", b"own") for leaf in UP)
        assert other.heard == [("sk/v1/a/s2/receipt", b"real")]
        for person in (collector, other, site):
            person.leave()


def test_a_site_hears_its_own_receipts_and_nobody_else_s_anything(place: Place, people: list[Person]) -> None:
    for version in _versions(place):
        collector, nosy, neighbour = (
            Person(place, "collector"),
            Person(place, "s1", version=version),
            Person(place, "s2", version=version),
        )
        people += [collector, nosy, neighbour]
        nosy.subscribe(
            "#", "sk/#", "sk/v1/+/+/report", "sk/v1/+/s2/receipt", "sk/v1/+/+/receipt", "sk/v1/+/s1/receipt", "$SYS/#"
        )
        neighbour.say("sk/v1/a/s2/report", b"private")
        neighbour.client.publish("sk/v1/a/s2/status", b"private", qos=1, retain=True)
        collector.subscribe("sk/v1/+/s2/status")
        wait_until(lambda c=collector: c.heard, "the retained status is there")  # type: ignore[misc]
        collector.say("sk/v1/a/s2/receipt", b"for s2")
        collector.say("sk/v1/a/s1/receipt", b"for s1")
        wait_until(lambda n=nosy: n.heard, "the site hears its receipt")  # type: ignore[misc]
        late = Person(place, "s1", version=version)
        people.append(late)
        late.subscribe("#", "sk/v1/+/s1/receipt")
        collector.say("sk/v1/a/s1/receipt", b"again")
        wait_until(lambda p=late: (("sk/v1/a/s1/receipt", b"again")) in p.heard, "the receipt arrives")  # type: ignore[misc]
        assert {topic for topic, _ in nosy.heard + late.heard} == {"sk/v1/a/s1/receipt"}
        collector.client.publish("sk/v1/a/s2/status", b"", qos=1, retain=True)
        for person in (collector, nosy, neighbour, late):
            person.leave()


def test_a_wrong_password_an_unknown_user_and_nobody_are_refused(place: Place) -> None:
    for version in _versions(place):
        for user, password in (("s1", "wrong"), ("s3", "wrong"), ("collector", ""), ("../collector", "x")):
            person = Person(place, user, version=version, password=password)
            assert not person.is_in and person.answers != [0], (user, version)
            person.leave()
    bare = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="s1", reconnect_on_failure=False)
    answers: list[int] = []
    bare.on_connect = lambda _c, _d, _f, reason, _p: answers.append(reason.value)
    bare.connect("127.0.0.1", place.port)
    bare.loop_start()
    wait_until(lambda: answers, "the broker answers")
    bare.disconnect()
    bare.loop_stop()
    assert answers != [0]


def test_tail_looks_on_beside_the_collector_and_can_say_nothing(place: Place, people: list[Person]) -> None:
    collector, tail, site = Person(place, "collector"), Person(place, "tail"), Person(place, "s1")
    people += [collector, tail, site]
    collector.subscribe("sk/v1/+/+/report")
    tail.subscribe("sk/v1/+/+/report", "sk/v1/+/+/receipt")
    tail.say("sk/v1/a/s1/receipt", b"forged")
    tail.say("sk/v1/a/tail/report", b"a site named tail")
    site.say("sk/v1/a/s1/report", b"r")
    collector.say("sk/v1/a/s1/receipt", b"real")
    wait_until(lambda: len(tail.heard) >= 2, "tail hears both sides")
    assert ("sk/v1/a/s1/receipt", b"forged") not in tail.heard
    assert ("sk/v1/a/s1/report", b"r") in tail.heard
    assert collector.is_in


def test_the_collector_hears_its_own_echo(place: Place, people: list[Person]) -> None:
    collector = Person(place, "collector")
    people.append(collector)
    collector.subscribe(mosquitto.echo_topic("collector"))
    collector.say(mosquitto.echo_topic("collector"), b"1")
    wait_until(lambda: collector.heard == [(mosquitto.echo_topic("collector"), b"1")], "the echo comes back")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Mosquitto alone."""
    with _mosquitto(tmp_path_factory.mktemp("real")) as found:
        yield found


@pytest.mark.parametrize("version", [V5, V311])
def test_a_client_id_of_another_evicts_nobody_since_the_user_name_is_forced(real: Place, version: MQTTProtocolVersion) -> None:
    victim = Person(real, "s2", version=version)
    thief = Person(real, "s1", version=version, client_id="s2")
    bystander = Person(real, "collector", version=version)
    assert thief.is_in and victim.is_in
    second = Person(real, "s1", version=version, client_id="something-else")
    wait_until(lambda: not thief.client.is_connected(), "the second client of the user takes the place of the first")
    assert [person.is_in for person in (second, victim, bystander)] == [True] * 3
    for person in (victim, thief, bystander, second):
        person.leave()


def test_mosquitto_names_clients_by_their_user_name_in_its_log(tmp_path: Path) -> None:
    plan = mosquitto.BrokerPlan(tmp_path / "etc", tmp_path, plain_port=free_port())
    folder.write(plan, ["s1"])
    assert plan.plain_port is not None
    text = (plan.folder / "mosquitto.conf").read_text()
    with brokers.mosquitto(tmp_path / "run", config_text=text, port=plan.plain_port) as broker:
        person = Person(Place(plan, plan.plain_port, "mosquitto"), "s1", client_id="chosen")
        wait_until(lambda: " as s1 " in broker.log(), "the log names the user")
        assert " as chosen " not in broker.log()
        person.leave()


def test_a_message_above_the_largest_report_is_dropped_and_one_of_that_size_arrives(real: Place) -> None:
    collector, site = Person(real, "collector"), Person(real, "s1")
    collector.subscribe("sk/v1/+/+/report")
    site.say("sk/v1/a/s1/report", b"x" * (mosquitto.MESSAGE_BYTES + 1))
    site.say("sk/v1/a/s1/report", b"y" * MAX_REPORT_BYTES)
    wait_until(lambda: collector.heard, "the report arrives")
    assert [payload[:1] for _, payload in collector.heard] == [b"y"] and site.is_in
    collector.leave()
    site.leave()


def test_mosquitto_passwd_can_change_a_file_that_we_wrote(tmp_path: Path) -> None:
    file = tmp_path / "passwords"
    file.write_text(passwords.render_file({"a": passwords.password_hash("one"), "b": passwords.password_hash("two")}))
    subprocess.run(["mosquitto_passwd", "-D", str(file), "b"], check=True, capture_output=True)
    stored = passwords.parse_file(file.read_text())
    assert set(stored) == {"a"} and passwords.fits("one", stored["a"])


def test_we_read_what_mosquitto_passwd_writes(tmp_path: Path) -> None:
    file = tmp_path / "passwords"
    file.write_text("a:one\n")
    subprocess.run(["mosquitto_passwd", "-U", str(file)], check=True, capture_output=True)
    stored = passwords.parse_file(file.read_text())
    assert passwords.fits("one", stored["a"]) and not passwords.fits("two", stored["a"])


def test_the_generated_tls_listener_takes_logins_over_tls_only(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    files = brokers.TlsFiles(tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "ca.pem")
    port = free_port()
    plan = mosquitto.BrokerPlan(tmp_path / "etc", tmp_path, tls=mosquitto.Tls(files.certificate, files.key), tls_port=port)
    folder.write(plan, ["s1"])
    text = (plan.folder / "mosquitto.conf").read_text()
    with brokers.mosquitto(tmp_path / "run", config_text=text, port=port, tls=files):
        assert brokers.answers("127.0.0.1", port, files.authority) and not brokers.answers("127.0.0.1", port)
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="s1", protocol=V5)
        client.tls_set(ca_certs=str(files.authority))
        client.username_pw_set("s1", _password(Place(plan, port, "mosquitto"), "s1"))
        client.connect("localhost", port)
        client.loop_start()
        wait_until(client.is_connected, "the site is in")
        client.disconnect()
        client.loop_stop()
