"""Builds the agent's offline bundle for 64-bit Windows 10 and later: a zip with modules, a sample and install.cmd.

With ``--python``, the zip of python.org's embeddable package for amd64, the bundle brings its own Python; without, the PC must
have one. The same sources, pins, Python and ``SOURCE_DATE_EPOCH`` (default: the last commit's time) give the same bytes.
"""

import argparse
import shutil
import sys
import tempfile
import time
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from layout import ROOT, epoch, modules, version  # noqa: E402 - it stands beside this folder

PLATFORM = "win_amd64"
_TEXTS = (".cmd", ".txt", ".yaml")


def main() -> int:
    """Build it; prints where it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=Path, metavar="ZIP", help="python.org's embeddable package for amd64, 3.11 to 3.13")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder to put it in")
    options = parser.parse_args()
    name = f"sitekeeper-agent-{version()}-windows-amd64"
    with tempfile.TemporaryDirectory(prefix="sitekeeper-bundle-") as scratch:
        tree = Path(scratch)
        modules(tree / "app", [PLATFORM])
        _add_ours(tree)
        if options.python is not None:
            _add_python(options.python, tree / "python")
        print(_pack(tree, name, options.out / f"{name}.zip"))
    return 0


def _add_ours(tree: Path) -> None:
    for name in ("install.cmd", "remove.cmd", "README.txt"):
        shutil.copyfile(HERE / name, tree / name)
    shutil.copyfile(ROOT / "LICENSE", tree / "LICENSE.txt")
    sample = (ROOT / "config/agent.yaml").read_text(encoding="utf-8")
    # YAML's plain text takes backslashes as they are.
    sample = sample.replace("/var/lib/sitekeeper-agent", r"C:\ProgramData\Sitekeeper\state")
    (tree / "agent.yaml").write_text(sample, encoding="utf-8")


def _add_python(embeddable: Path, into: Path) -> None:
    with zipfile.ZipFile(embeddable) as archive:
        names = archive.namelist()
        if "python.exe" not in names or not any(name.startswith("python3") and name.endswith("._pth") for name in names):
            raise SystemExit(f"{embeddable} is no embeddable package of Python for Windows")
        archive.extractall(into)


def _pack(tree: Path, folder: str, bundle: Path) -> Path:
    moment = time.gmtime(epoch())[:6]
    bundle.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(path for path in tree.rglob("*") if path.is_file()):
            data = path.read_bytes()
            if path.parent == tree and path.suffix in _TEXTS:
                # cmd.exe misreads labels and blocks of files with bare LF.
                data = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
            entry = zipfile.ZipInfo(f"{folder}/{path.relative_to(tree).as_posix()}", date_time=moment)
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 0, 0
            archive.writestr(entry, data)
    return bundle


if __name__ == "__main__":
    sys.exit(main())
