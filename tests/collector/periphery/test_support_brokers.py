"""The brokers that all tests rely on: they start, die, come back on the same port, and leave nothing behind."""

import os
import subprocess
import sys
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

import support.ports
from support.brokers import Broker, amqtt_broker, answers, mosquitto
from support.ports import free_port
from support.wait import wait_until

pytestmark = pytest.mark.broker


def _client(broker: Broker, name: str, password: str | None = None, *, clean: bool = True) -> mqtt.Client:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=clean)
    if password is not None:
        client.username_pw_set(name, password)
    client.connect(broker.host, broker.port)
    client.loop_start()
    wait_until(client.is_connected, f"{name} is connected")
    return client


def _gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_mosquitto_keeps_its_port_and_its_state_over_a_stop_and_a_start(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker:
        client = _client(broker, "writer")
        client.publish("a/b", b"kept", qos=1, retain=True).wait_for_publish(10)
        client.disconnect()
        client.loop_stop()
        first, port = broker.pid, broker.port
        broker.stop()
        assert not answers(broker.host, port)
        broker.start()
        assert broker.port == port and broker.pid != first
        got: list[bytes | bytearray] = []
        reader = _client(broker, "reader")
        reader.on_message = lambda _client, _data, message: got.append(message.payload)
        reader.subscribe("a/b", 1)
        wait_until(lambda: got == [b"kept"], "the retained message is back")
        reader.disconnect()
        reader.loop_stop()
        last = broker.pid
    assert _gone(first) and _gone(last)


def test_a_killed_broker_is_not_killed_twice_and_its_pid_is_gone(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker:
        pid = broker.pid
        broker.kill()
        assert _gone(pid) and not broker.running
        broker.kill()


def test_a_paused_broker_does_not_answer_and_is_gone_afterwards(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker:
        pid = broker.pid
        broker.pause()
        assert not answers(broker.host, broker.port)
    assert _gone(pid)


@pytest.mark.parametrize("make", [mosquitto, amqtt_broker])
def test_with_users_a_wrong_password_is_refused(tmp_path: Path, make: object) -> None:
    assert callable(make)
    with make(tmp_path, users={"a": "right"}) as broker:
        refused: list[int] = []
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="a")
        client.username_pw_set("a", "wrong")
        client.on_connect = lambda _c, _d, _f, reason, _p: refused.append(reason.value)
        client.connect(broker.host, broker.port)
        client.loop_start()
        wait_until(lambda: refused, "the broker answered")
        client.disconnect()
        client.loop_stop()
        assert set(refused) != {0}
        good = _client(broker, "a", "right")
        good.disconnect()
        good.loop_stop()


def test_amqtt_starts_again_on_its_port_after_a_kill(tmp_path: Path) -> None:
    with amqtt_broker(tmp_path) as broker:
        port = broker.port
        broker.kill()
        broker.start()
        assert answers(broker.host, port)
        pid = broker.pid
    assert _gone(pid)


def test_ports_are_never_given_out_twice_by_one_process_nor_to_a_second_one() -> None:
    mine = {free_port() for _ in range(50)}
    assert len(mine) == 50
    code = "from support.ports import free_port; print(*(free_port() for _ in range(2000)))"
    environment = {**os.environ, "PYTHONPATH": str(Path(support.ports.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert mine.isdisjoint(int(port) for port in done.stdout.split())
