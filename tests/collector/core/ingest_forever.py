"""A process that ingests until it is killed, and writes each receipt to standard output once the pipeline has given it out."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from sitekeeper_collector.ingest.pipeline import Ingest
from sitekeeper_collector.store.engine import open_store
from support.scripted import NOW_MS, inbound, report, sample

RUN = 5
BATCH = 20


def main() -> None:
    store = open_store(f"sqlite:///{sys.argv[1]}")
    ingest = Ingest(store, wall_ms=lambda: NOW_MS, steady_ms=lambda: 0)
    at = int(sys.argv[2])
    while True:
        batch = []
        for number in range(at, at + BATCH):
            first = (number - 1) * 5 + 1
            samples = [sample(RUN, n) for n in range(first, first + 5)]
            batch.append(inbound("v1", report("v1", RUN, samples, number=number, wants_receipt=True)))
        for message in ingest.process(batch):
            sys.stdout.write(message.payload.hex() + "\n")
        sys.stdout.flush()
        at += BATCH


if __name__ == "__main__":
    main()
