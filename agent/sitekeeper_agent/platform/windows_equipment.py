"""Windows: which programs run. Disks beyond their space, displays, sound, USB and heat are not read here."""

from collections.abc import Iterable, Mapping

from sitekeeper_agent.platform.equipment_facts import Disk, Display, Passed
from sitekeeper_agent.platform.facts import HERE, PlatformUnsupported, Roots

_NOT_HERE = "not read on Windows"


def disks(roots: Roots = HERE) -> tuple[Disk, ...]:
    """Raises ``PlatformUnsupported``."""
    raise PlatformUnsupported(f"disks: {_NOT_HERE}")


def disk_errors(roots: Roots = HERE) -> dict[str, int]:
    """Raises ``PlatformUnsupported``."""
    raise PlatformUnsupported(f"errors of disks: {_NOT_HERE}")


def read_only(volumes: Iterable[str], roots: Roots = HERE) -> dict[str, bool]:
    """Raises ``PlatformUnsupported``."""
    raise PlatformUnsupported(f"read-only volumes: {_NOT_HERE}")


def displays(roots: Roots = HERE) -> tuple[Display, ...] | None:
    """Raises ``PlatformUnsupported``."""
    raise PlatformUnsupported(f"displays: {_NOT_HERE}")


def sound_outputs(roots: Roots = HERE) -> int | None:
    """Raises ``PlatformUnsupported``."""
    raise PlatformUnsupported(f"sound outputs: {_NOT_HERE}")


def sound_cards(roots: Roots = HERE) -> tuple[str, ...]:
    """Raises ``PlatformUnsupported``."""
    raise PlatformUnsupported(f"sound cards: {_NOT_HERE}")


def usb_ids(roots: Roots = HERE) -> tuple[str, ...] | None:
    """Raises ``PlatformUnsupported``."""
    raise PlatformUnsupported(f"USB devices: {_NOT_HERE}")


def throttle_counts(roots: Roots = HERE) -> dict[str, int]:
    """Raises ``PlatformUnsupported``."""
    raise PlatformUnsupported(f"throttling: {_NOT_HERE}")


def cooling(roots: Roots = HERE) -> bool | None:
    """Raises ``PlatformUnsupported``."""
    raise PlatformUnsupported(f"cooling: {_NOT_HERE}")


def cpu_limit_ratio(roots: Roots = HERE) -> float | None:
    """Raises ``PlatformUnsupported``."""
    raise PlatformUnsupported(f"limits of the processor: {_NOT_HERE}")


def running(
    names: Iterable[str], known: Mapping[str, int], roots: Roots = HERE, passed: Passed | None = None
) -> dict[str, int] | None:
    """The process id of each named program, 0 where it does not run. Case does not count, nor does ``.exe``."""
    import psutil

    found: dict[str, int] = {}
    for process in psutil.process_iter(["name"]):
        found.setdefault(_bare(process.info["name"] or ""), process.pid)
    return {name: found.get(_bare(name), 0) for name in names}


def _bare(name: str) -> str:
    return name.lower().removesuffix(".exe")


def service_running(name: str, roots: Roots = HERE) -> bool | None:
    """Whether the service of this short name runs; ``None`` where there is none of that name."""
    import psutil

    try:
        return bool(psutil.win_service_get(name).status() == "running")  # type: ignore[attr-defined,unused-ignore]
    except psutil.Error:
        return None


def booted_with_systemd(roots: Roots = HERE) -> bool:
    """Never."""
    return False
