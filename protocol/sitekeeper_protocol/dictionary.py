"""The DEFLATE dictionary of version 1: what every report body has in common. It is part of the wire and never changes."""

BODY_V1 = b"ipv4/dns"
