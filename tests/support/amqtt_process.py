"""amqtt as a process, behind the front door that the embedded broker has: ``amqtt_process.py CONFIG.yaml``."""

import asyncio
import logging
import signal
import sys
from pathlib import Path

import yaml

from sitekeeper_collector.embedded.front_door import FrontDoorBroker


async def _serve(config: Path) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    broker = FrontDoorBroker(yaml.safe_load(config.read_text(encoding="utf-8")))
    await broker.start()
    await stopping.wait()
    await broker.shutdown()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(_serve(Path(sys.argv[1])))
