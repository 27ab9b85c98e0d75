"""A machine's /proc, /sys, /etc, /run and /dev as a tree of files, written for one test."""

from collections.abc import Mapping
from pathlib import Path

from sitekeeper_agent.platform import Roots


def tree(folder: Path, files: Mapping[str, str | bytes]) -> Roots:
    """``files`` (``proc/asound/pcm`` and the like) below ``folder``, added to what is there; and where they stand."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Roots(*(str(folder / name) for name in ("proc", "sys", "etc", "run", "dev")))


def edid(name: str = "", maker: bytes = b"\x10\xac", serial: int = 7) -> bytes:
    """A display's EDID of 128 bytes; DEL 4051 by default, with a descriptor of its name if it has one."""
    block = bytearray(128)
    block[0:8] = b"\x00\xff\xff\xff\xff\xff\xff\x00"
    block[8:10], block[10:12], block[12:16] = maker, (0x4051).to_bytes(2, "little"), serial.to_bytes(4, "little")
    if name:
        block[72:77] = b"\x00\x00\x00\xfc\x00"
        block[77:90] = (name.encode("latin-1") + b"\n").ljust(13)[:13]
    block[127] = -sum(block[:127]) & 255
    return bytes(block)
