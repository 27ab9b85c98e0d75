"""The remote settings on disk, beside the spool: one small file, replaced as a whole, so that a power cut spoils nothing."""

import logging
import os
import zlib
from pathlib import Path

import msgspec

from sitekeeper_agent.remote.trial import Kept

FILE_NAME = "remote-settings"
_log = logging.getLogger("sitekeeper.remote")
_decode = msgspec.msgpack.Decoder(Kept).decode
_MAX_BYTES = 256 * 1024


def load(folder: Path) -> Kept:
    """What was kept; nothing if there is no sound file."""
    try:
        with (folder / FILE_NAME).open("rb") as file:
            data = file.read(_MAX_BYTES)
    except FileNotFoundError:
        return Kept()
    except OSError as err:
        _log.warning("the settings that the county has changed can't be read (%s): the agent's own file counts", err.strerror)
        return Kept()
    check, record = data[:4], data[4:]
    try:
        if zlib.crc32(record).to_bytes(4, "big") != check:
            raise ValueError("checksum")
        return _decode(record)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        _log.warning("the settings that the county has changed are damaged: the agent's own file counts")
        return Kept()


def save(folder: Path, kept: Kept) -> bool:
    """Put ``kept`` on disk for good; whether that worked."""
    record = msgspec.msgpack.encode(kept)
    staged = folder / f"{FILE_NAME}.new"
    try:
        with staged.open("wb") as file:
            file.write(zlib.crc32(record).to_bytes(4, "big") + record)
            file.flush()
            os.fsync(file.fileno())
        staged.chmod(0o600)
        staged.replace(folder / FILE_NAME)
        if os.name != "nt":
            # rename(2): the new name is on disk only once the folder is.
            number = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(number)
            finally:
                os.close(number)
    except OSError as err:
        _log.warning("the settings that the county has changed can't be kept: %s", err.strerror)
        return False
    return True
