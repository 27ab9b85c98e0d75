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
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
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
Suggests: iputils-ping, smartmontools
Description: watches a distance-education site from its own PC
 Measures whether the line, the portal, the stream and the PC work, names the
 rung that fails and whose job it is, and reports over MQTT to the county.
 Brings its own Python modules; nothing is fetched when it is installed.
"""

WRAPPER = """\
#!/bin/sh
# -I -S: neither the user's nor the system's Python modules get in.
exec /usr/bin/python3 -I -S /usr/lib/sitekeeper-agent "$@"
"""

START = """\
# What `python3 /usr/lib/sitekeeper-agent` runs; the folder itself is where modules are found.
import sys

from sitekeeper_agent.cli import main

sys.exit(main())
"""


def main() -> int:
    """Build it; prints where it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", choices=sorted(MACHINES), default=_this_machine())
    parser.add_argument("--version", default=_version(), help="version of the package (default: the agent's)")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder to put it in")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sitekeeper-deb-") as scratch:
        tree = Path(scratch) / "tree"
        _fill(tree, options.architecture, Path(scratch) / "wheels")
        _describe(tree, options.architecture, options.version)
        print(_pack(tree, options.out / f"sitekeeper-agent_{options.version}_{options.architecture}.deb"))
    return 0


def _this_machine() -> str:
    return next((name for name, machine in MACHINES.items() if machine == os.uname().machine), "amd64")


def _version() -> str:
    text = (ROOT / "agent/sitekeeper_agent/__init__.py").read_text(encoding="utf-8")
    return text.partition('__version__ = "')[2].partition('"')[0]


def epoch() -> int:
    """The moment, in Unix seconds, that everything in the package bears."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return int(given)
    return int(subprocess.run(["git", "-C", ROOT, "log", "-1", "--format=%ct"], capture_output=True, check=True).stdout)


def _pip(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *arguments], check=True)


def _fill(tree: Path, architecture: str, wheels: Path) -> None:
    """Lay out all files but those in DEBIAN/."""
    fetch_pinned(wheels, [f"{glibc}_{MACHINES[architecture]}" for glibc in _GLIBC], PYTHONS)
    build_own(wheels)
    home = tree / HOME
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(home)
    leave_out(home)
    (home / "__main__.py").write_text(START, encoding="utf-8")
    _put(tree / "usr/bin/sitekeeper-agent", WRAPPER)
    _copy(HERE / "sitekeeper-agent.service", tree / "usr/lib/systemd/system/sitekeeper-agent.service")
    _copy(ROOT / "config/agent.yaml", tree / "usr/share/sitekeeper-agent/agent.yaml")
    (tree / "etc/sitekeeper-agent").mkdir(parents=True)
    doc = tree / "usr/share/doc/sitekeeper-agent"
    _copy(ROOT / "docs/deployment/agent.md", doc / "README.md")
    _copy(ROOT / "LICENSE", doc / "copyright")
    (doc / "changelog.gz").write_bytes(gzip.compress((ROOT / "CHANGELOG.md").read_bytes(), mtime=0))


def fetch_pinned(into: Path, platforms: list[str], pythons: tuple[str, ...]) -> None:
    """The wheels of ``requirements/agent.txt``, by their hashes, for other machines and Pythons than this one."""
    wanted = [word for platform in platforms for word in ("--platform", platform)]
    for python in pythons:
        pins = ["--require-hashes", "-r", str(ROOT / "requirements/agent.txt")]
        which = ["--only-binary=:all:", "--implementation", "cp", "--python-version", python, *wanted]
        _pip("download", *pins, *which, "-d", into)


def build_own(into: Path) -> None:
    """The wheels of agent and protocol, from these sources."""
    with tempfile.TemporaryDirectory(prefix="sitekeeper-src-") as scratch:
        for name in ("protocol", "agent"):
            # A copy: building leaves files behind where it builds.
            shutil.copytree(ROOT / name, Path(scratch) / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
            _pip("wheel", "--no-deps", "--no-build-isolation", "-w", into, Path(scratch) / name)


def leave_out(home: Path) -> None:
    """Remove what the agent never loads: tests, type stubs, records of the installer."""
    for found in sorted(home.rglob("*"), reverse=True):
        if found.is_dir() and found.name in ("tests", "__pycache__"):
            shutil.rmtree(found)
        elif found.suffix in (".pyi", ".pxd", ".pyx", ".c", ".h") or found.name in ("RECORD", "INSTALLER", "entry_points.txt"):
            found.unlink()


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
