"""What should be found at the site, as the configuration names it: devices, programs, displays, sound."""

from typing import Annotated

from msgspec import Meta, Struct

ItemName = Annotated[str, Meta(min_length=1, max_length=40)]
"""A word of the site's own for an item; with its sort it names a series."""
MOST = 16
"""Items of a sort: each is a series of its own, and every store pays by the series."""


class UsbDevice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A USB device by its ``vendor:product``, four hex digits each, as ``lsusb`` shows it."""

    id: Annotated[str, Meta(min_length=9, max_length=9)]
    name: ItemName


class LanDevice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A device in the site's own network, by its address. With ``port`` it must take a TCP connection there, else answer."""

    name: ItemName
    host: Annotated[str, Meta(min_length=1, max_length=64)]
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None


class Expectations(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it is optional; what is not named is not missed. ``displays`` is the least number, 0: none is expected."""

    usb: Annotated[tuple[UsbDevice, ...], Meta(max_length=MOST)] = ()
    lan: Annotated[tuple[LanDevice, ...], Meta(max_length=MOST)] = ()
    processes: Annotated[tuple[ItemName, ...], Meta(max_length=MOST)] = ()
    services: Annotated[tuple[ItemName, ...], Meta(max_length=MOST)] = ()
    displays: Annotated[int, Meta(ge=0, le=16)] = 0
    audio: bool = False

    @property
    def items(self) -> bool:
        """Whether there is anything to look for beyond displays and sound, which are counted anyway."""
        return bool(self.usb or self.lan or self.processes or self.services)
