"""The rules of detection from a YAML file: defaults where it says nothing, an error with file and line where it is wrong."""

from pathlib import Path

from sitekeeper_collector.config import compose, line_of
from sitekeeper_collector.domain.rules import Rules
from sitekeeper_protocol.settings import SettingsError, read


def load(path: Path | None) -> Rules:
    """The rules in ``path``, or the defaults. Raises ``SettingsError``, whose text begins with ``file:line:``."""
    if path is None:
        return Rules()
    root = compose(path)
    rules = read(root, Rules, str(path))
    silence, kinds = rules.silence, rules.kinds
    if kinds.line_suspected.hold_down_s > kinds.site_dark.hold_down_s:
        key, problem = "kinds.line_suspected.hold_down_s", "longer than site_dark's; the site would always be called dark first"
        raise SettingsError(f"{path}:{line_of(root, key)}: {key}: {problem}")
    if silence.explain_within_s < silence.grace_s:
        key, problem = "silence.explain_within_s", "shorter than grace_s; no record could arrive in time"
        raise SettingsError(f"{path}:{line_of(root, key)}: {key}: {problem}")
    return rules
