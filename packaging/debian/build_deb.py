"""Builds the agent's Debian package: pinned wheels and our own, laid out under one folder that any supported Python runs.

Wheels of several Python versions lie over one another: their compiled parts carry version and machine in their names. So one
package serves Debian 12 and 13 and Ubuntu 24.04, and no virtual environment has to be moved. The same sources, pins and
``SOURCE_DATE_EPOCH`` (default: the last commit's time) give the same bytes.
"""

import argparse
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from layout import ROOT, epoch, modules, version  # noqa: E402 - it stands beside this folder

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_GLIBC = ("manylinux2014", "manylinux_2_17", "manylinux_2_28")
HOME = "usr/lib/sitekeeper-agent"

CONTROL = """\
Package: sitekeeper-agent
Version: {version}
Architecture: {architecture}
Section: net
Priority: optional
Maintainer: The Sitekeeper authors <sitekeeper@localhost>
Installed-Size: {kib}
Pre-Depends: init-system-helpers
Depends: python3 (>= 3.11), python3 (<< 3.14), libc6 (>= 2.28), adduser, ca-certificates
Suggests: acl, iputils-ping, smartmontools
Description: watches a distance-education site from its own PC
 Measures whether the line, the portal, the stream and the PC work, names the
 rung that fails and whose job it is, and reports over MQTT to the county.
 Brings its own Python modules; nothing is fetched when it is installed.
"""

WRAPPER = """\
#!/bin/sh
# -I -S: neither the user's nor the system's Python modules get in.
set -- /usr/bin/python3 -I -S /usr/lib/sitekeeper-agent "$@"
if [ "$(id -u)" -eq 0 ] && [ "${5:-}" = commission ]; then
    # What writes into the agent's folder does so as the agent, with the one capability that it has.
    set -- setpriv --reuid=sitekeeper-agent --regid=sitekeeper-agent --init-groups --no-new-privs \\
        --bounding-set=-all,+net_raw --inh-caps=-all,+net_raw --ambient-caps=-all,+net_raw -- "$@"
fi
exec "$@"
"""


def main() -> int:
    """Build it; prints where it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", choices=sorted(MACHINES), default=_this_machine())
    parser.add_argument("--version", default=version(), help="version of the package (default: the agent's)")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder to put it in")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sitekeeper-deb-") as scratch:
        tree = Path(scratch) / "tree"
        _fill(tree, options.architecture)
        _describe(tree, options.architecture, options.version)
        print(_pack(tree, options.out / f"sitekeeper-agent_{options.version}_{options.architecture}.deb"))
    return 0


def _this_machine() -> str:
    return next((name for name, machine in MACHINES.items() if machine == os.uname().machine), "amd64")


def _fill(tree: Path, architecture: str) -> None:
    """Lay out all files but those in DEBIAN/."""
    modules(tree / HOME, [f"{glibc}_{MACHINES[architecture]}" for glibc in _GLIBC])
    _put(tree / "usr/bin/sitekeeper-agent", WRAPPER)
    _copy(HERE / "sitekeeper-agent.service", tree / "usr/lib/systemd/system/sitekeeper-agent.service")
    _copy(HERE / "tmpfiles.conf", tree / "usr/lib/tmpfiles.d/sitekeeper-agent.conf")
    _copy(HERE / "mpv.lua", tree / "usr/share/sitekeeper-agent/mpv.lua")
    _copy(ROOT / "config/agent.yaml", tree / "usr/share/sitekeeper-agent/agent.yaml")
    (tree / "etc/sitekeeper-agent").mkdir(parents=True)
    doc = tree / "usr/share/doc/sitekeeper-agent"
    _copy(ROOT / "docs/deployment/agent.md", doc / "README.md")
    _copy(ROOT / "LICENSE", doc / "copyright")
    (doc / "changelog.gz").write_bytes(gzip.compress((ROOT / "CHANGELOG.md").read_bytes(), mtime=0))


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _describe(tree: Path, architecture: str, version: str) -> None:
    """Write DEBIAN/: control, checksums, and the scripts beside this file."""
    files = sorted(path for path in tree.rglob("*") if path.is_file())
    sums = "".join(f"{hashlib.md5(f.read_bytes()).hexdigest()}  {f.relative_to(tree)}\n" for f in files)
    kib = sum(-(-f.stat().st_size // 1024) for f in files)
    _put(tree / "DEBIAN/control", CONTROL.format(version=version, architecture=architecture, kib=kib))
    _put(tree / "DEBIAN/md5sums", sums)
    for script in ("postinst", "prerm", "postrm"):
        _copy(HERE / script, tree / "DEBIAN" / script)


def _pack(tree: Path, deb: Path) -> Path:
    moment = epoch()
    programs = {"sitekeeper-agent", "postinst", "prerm", "postrm"}
    for path in sorted(tree.rglob("*"), reverse=True):
        # By hand: neither this machine's umask nor the wheels' own modes get in.
        path.chmod(0o755 if path.is_dir() or path.name in programs else 0o644)
        os.utime(path, (moment, moment))
    tree.chmod(0o755)
    os.utime(tree, (moment, moment))
    deb.parent.mkdir(parents=True, exist_ok=True)
    command = ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(tree), str(deb)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(moment)}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return deb


if __name__ == "__main__":
    sys.exit(main())
