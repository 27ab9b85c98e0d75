"""Windows: network settings are not read here."""

from collections.abc import Callable, Sequence

from sitekeeper_agent.platform.facts import HERE, Configured, PlatformUnsupported, Roots


def configured(interface: str, roots: Roots, ask: Callable[[Sequence[str]], str | None]) -> Configured | None:
    """Raises ``PlatformUnsupported``."""
    raise PlatformUnsupported("network settings are not read on Windows")


def proxies(roots: Roots = HERE) -> tuple[str, ...]:
    """Raises ``PlatformUnsupported``."""
    raise PlatformUnsupported("proxies are not read on Windows")
