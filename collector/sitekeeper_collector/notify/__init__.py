"""Mail about tickets: what it says, how it is sent, and what becomes of one that can't be."""
