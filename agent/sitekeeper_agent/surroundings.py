"""The site's network as the configuration describes it: what lies between the PC and the portal that no probe can guess."""

from typing import Annotated

from msgspec import Meta, Struct

_Text = Annotated[str, Meta(max_length=500)]
_File = Annotated[str, Meta(min_length=1, max_length=500)]


class Network(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``modem`` is ``auto``, ``none``, or the IP address of the box behind the router.

    ``direct_resolver`` is the provider's own resolver, asked around the router's. ``portal_addresses`` are the addresses or
    networks that the portal's name must lead to, ``portal_text`` stands in its page, ``portal_hosts`` are hosts of others that
    it sends visitors to, ``portal_ca_file`` holds an authority of its own. ``proxy`` is the HTTP proxy that leads to the
    portal. ``dial_log`` is the log of the program that dials in. ``multicast_interface`` is where multicast streams
    come in; empty: where the default route leads.
    """

    modem: Annotated[str, Meta(min_length=1, max_length=64)] = "auto"
    direct_resolver: Annotated[str, Meta(max_length=64)] = ""
    portal_addresses: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...], Meta(max_length=32)] = ()
    portal_text: _Text = ""
    portal_hosts: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=253)], ...], Meta(max_length=16)] = ()
    portal_ca_file: _File | None = None
    proxy: _Text = ""
    dial_log: _File | None = None
    multicast_interface: Annotated[str, Meta(max_length=64)] = ""
