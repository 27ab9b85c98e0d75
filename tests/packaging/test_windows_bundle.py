"""The agent's bundle for Windows: complete for each Python, without a line, same sources same bytes. It is not run here."""

import re
import zipfile
from pathlib import Path

import pytest

from support.packages import attempt, build, copy_sources

SCRIPT = "windows/build_bundle.py"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_sources(tmp_path_factory.mktemp("sources"))


def embeddable(folder: Path, *names: str) -> Path:
    """A zip with files of these names, as python.org's has them."""
    file = folder / "python-3.11.9-embed-amd64.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return file


@pytest.fixture(scope="module")
def bundle(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Path within the bundle's folder to content."""
    python = embeddable(tmp_path_factory.mktemp("python"), "python.exe", "python311._pth", "python311.zip")
    made = build(sources, SCRIPT, tmp_path_factory.mktemp("first"), "--python", str(python))
    with zipfile.ZipFile(made) as archive:
        names = archive.namelist()
        assert {name.partition("/")[0] for name in names} == {made.stem}
        return {name.partition("/")[2]: archive.read(name) for name in names}


def test_it_holds_compiled_modules_for_each_python_and_its_own_interpreter(bundle: dict[str, bytes]) -> None:
    for python in ("311", "312", "313"):
        assert f"app/msgspec/_core.cp{python}-win_amd64.pyd" in bundle
    assert {
        "app/psutil/_psutil_windows.pyd",
        "app/paho/mqtt/client.py",
        "app/__main__.py",
        "python/python.exe",
    } <= bundle.keys()
    assert not [name for name in bundle if name.endswith((".so", ".pyi")) or "__pycache__" in name]


def test_scripts_have_the_line_ends_that_cmd_needs_and_every_label_that_they_jump_to(bundle: dict[str, bytes]) -> None:
    for name in ("install.cmd", "remove.cmd", "README.txt", "agent.yaml"):
        assert bundle[name].count(b"\n") == bundle[name].count(b"\r\n") > 5
        assert not bundle[name].startswith(b"\xef\xbb\xbf"), "cmd.exe would take the mark for a command"
    install = bundle["install.cmd"].decode("utf-8")
    assert set(re.findall(r"goto (\w+)", install)) == set(re.findall(r"^:(\w+)", install, re.MULTILINE))
    copied = set(re.findall(r"%FROM%([\w.]+)", install))
    assert copied == {"app", "python", "agent.yaml"}
    assert all(any(name == part or name.startswith(f"{part}/") for name in bundle) for part in copied)


def test_the_sample_keeps_samples_where_windows_programs_keep_data(bundle: dict[str, bytes]) -> None:
    assert rb"state_dir: C:\ProgramData\Sitekeeper\state" in bundle["agent.yaml"]
    assert b"/var/lib" not in bundle["agent.yaml"]


def test_the_same_sources_give_the_same_bytes(sources: Path, tmp_path: Path) -> None:
    once, again = (build(sources, SCRIPT, tmp_path / name).read_bytes() for name in ("once", "again"))
    assert once == again


def test_a_zip_that_is_no_python_is_refused(sources: Path, tmp_path: Path) -> None:
    done = attempt(sources, SCRIPT, tmp_path, "--python", str(embeddable(tmp_path, "setup.exe")))
    assert done.returncode != 0
    assert "no embeddable package" in done.stderr
