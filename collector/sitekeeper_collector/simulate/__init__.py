"""Counties that do not exist: sites that speak the real protocol, what befalls them, and how well the collector tells it.

``site`` is one PC and its agent (also the demo's), ``register`` and ``fate`` are a county and its month, ``clockwork`` plays it
through the real ingest by a clock given to all, ``score`` holds what the collector made of it against the truth.
"""
