"""A day of the agent in 24 minutes (``--minutes 24``): does it grow? `make bench` runs it for three.

Everything lives sixty times as fast: a sample a second, a report each five, the broker gone for ten seconds in each minute. The
first tenth is for warming up; over the rest the straight line that fits best says how much memory, open files and threads grow.
Exit code 1 if they do.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import trustme

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.brokers import TlsFiles
from support.rig import assert_stored_exactly_once
from support.soak import SITE, Looked, growth, soak


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3, help="minutes to watch (default 3; a day in the field: 24)")
    options = parser.parse_args()

    def tell(looked: Looked) -> None:
        if round(looked.at_s) % 60 == 30:
            grown = f"PSS {looked.pss / 1e6:6.2f} MB  {looked.open_files} files  {looked.threads} threads"
            print(f"hour {looked.at_s / 60:5.1f}  {grown}", flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        server = folder / "server.pem"
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(server))
        with soak(folder, TlsFiles(server, server, folder / "ca.pem")) as running:
            looks = running.run(options.minutes * 60, tell)
            stored = assert_stored_exactly_once(running.agent, running.collector)
    kept = [look for look in looks if look.at_s >= max(45, looks[-1].at_s / 10)]
    grown = [
        growth(kept, lambda look: look.pss),
        growth(kept, lambda look: look.open_files),
        growth(kept, lambda look: look.threads),
    ]
    hours = kept[-1].at_s / 60 - kept[0].at_s / 60
    print(f"{SITE}: {stored} samples, all stored once")
    print(
        f"in {hours:.1f} hours of the field: PSS {grown[0] / 1e6:+.2f} MB, open files {grown[1]:+.1f}, threads {grown[2]:+.1f}"
    )
    return 0 if grown[0] < 1e6 and grown[1] < 4 and grown[2] < 4 else 1


if __name__ == "__main__":
    sys.exit(main())
