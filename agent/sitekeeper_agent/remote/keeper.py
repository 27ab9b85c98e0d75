"""The settings in use: the agent's own file with what the county has changed. Used by one thread."""

import logging
from pathlib import Path

from sitekeeper_agent.config import Fault, Settings
from sitekeeper_agent.journal import Now
from sitekeeper_agent.probes.probe import parse_portal
from sitekeeper_agent.remote import changes, shelf, trial
from sitekeeper_agent.remote.trial import FILE_ALONE, Kept, Offer, Outcome
from sitekeeper_agent.sampler import context_of
from sitekeeper_protocol.messages import RemoteConfig, ResultState
from sitekeeper_protocol.settings import SettingsError

_log = logging.getLogger("sitekeeper.remote")
_MAX_TEXT = 500


class Keeper:
    """Made once at each start, which counts as a start with what is on trial. ``base`` is the agent's own file."""

    def __init__(self, folder: Path, base: Settings) -> None:
        self._folder, self._base = folder, base
        self._began_ms: int | None = None
        self._after_number = 0
        self.settings = base
        self._kept = self._restored() if base.remote.enabled else Kept()
        self._use()

    @property
    def revision(self) -> int:
        """Revision of the settings in use; 0: the file's alone."""
        return self._kept.used.revision

    @property
    def news(self) -> Outcome | None:
        """What the county has not been told yet."""
        outcome = self._kept.outcome
        return None if outcome is None or outcome.told else outcome

    def offer(self, config: RemoteConfig, *, number: int) -> bool:
        """The county wants these settings; whether those in use have changed. ``number``: the last report sent so far."""
        offer = Offer(config.revision, dict(config.settings))
        if not self._base.remote.enabled:
            self._kept = Kept(outcome=Outcome(offer.revision, ResultState.REFUSED, "remote.enabled: this site's file says no"))
            return False
        before = self._kept.used
        after = trial.offered(self._kept, offer, self._fault(offer))
        if after != self._kept and not shelf.save(self._folder, after):
            after = trial.offered(self._kept, offer, "state_dir: the disk takes nothing, so the change would not last")
        self._kept = after
        if after.used == before:
            return False
        self._began_ms, self._after_number = None, number
        self._use()
        _log.info("settings of revision %d are in use, on trial", self.revision)
        return True

    def answered(self, number: int) -> None:
        """A receipt has answered report ``number`` of this process."""
        if self._kept.trial is not None and number > self._after_number:
            self._keep(trial.confirmed(self._kept))
            _log.info("settings of revision %d are confirmed", self.revision)

    def tick(self, now: Now) -> bool:
        """Whether the settings in use have changed, because nothing has confirmed them in time."""
        if self._kept.trial is None:
            return False
        if self._began_ms is None:
            self._began_ms = now.monotonic_ms
        limit_s = self._base.remote.confirm_within_s
        if now.monotonic_ms - self._began_ms < limit_s * 1000:
            return False
        _log.warning("settings of revision %d are taken back: no receipt within %d s", self.revision, limit_s)
        self._keep(trial.taken_back(self._kept, f"taken back: no receipt within {limit_s} s of using it"))
        self._use()
        return True

    def due_ms(self, now: Now) -> int | None:
        """How long until ``tick`` has something to do, if nothing happens."""
        if self._kept.trial is None:
            return None
        began_ms = now.monotonic_ms if self._began_ms is None else self._began_ms
        return max(0, began_ms + self._base.remote.confirm_within_s * 1000 - now.monotonic_ms)

    def told(self, outcome: Outcome) -> None:
        """The broker has taken the news of ``outcome``."""
        if self._kept.outcome == outcome:
            self._keep(trial.acknowledged(self._kept))

    def _restored(self) -> Kept:
        """What was kept, as far as it can be used with the agent's file of today."""
        found = shelf.load(self._folder)
        kept = trial.started(found)
        if kept.trial is not None and (fault := self._fault(kept.trial)):
            kept = trial.taken_back(kept, fault)
        if fault := self._fault(kept.good):
            _log.warning("settings of revision %d do not go with the agent's file: %s", kept.good.revision, fault)
            kept = Kept(trial=kept.trial, starts=kept.starts, outcome=Outcome(kept.good.revision, ResultState.REFUSED, fault))
        if kept != found and not shelf.save(self._folder, kept):
            # Starts that can't be counted must not go on for ever.
            kept = trial.taken_back(kept, "taken back: the disk takes nothing")
        return kept

    def _fault(self, offer: Offer) -> str:
        """Why ``offer`` can't be used, as ``key: reason``; "" if it can."""
        if offer == FILE_ALONE:
            return ""
        if offer.revision == 0:
            return "revision: 0 stands for the agent's own file, without settings"
        try:
            settings = changes.changed(self._base, offer.settings)
            # Probes take addresses apart, which is stricter than the check of their form.
            context_of(settings, None, Now(0, 0, 0))
            if settings.speed_test:
                parse_portal(settings.speed_test)
        except (Fault, SettingsError) as fault:
            return str(fault)[:_MAX_TEXT]
        return ""

    def _use(self) -> None:
        self.settings = _with(self._base, self._kept.used)

    def _keep(self, kept: Kept) -> None:
        self._kept = kept
        shelf.save(self._folder, kept)


def in_use(base: Settings) -> Settings:
    """The settings that the agent on this machine uses, read without disturbing it; ``base`` is its file."""
    kept = shelf.load(Path(base.state_dir)) if base.remote.enabled else Kept()
    try:
        return _with(base, kept.used)
    except Fault:
        return base


def _with(base: Settings, offer: Offer) -> Settings:
    return changes.changed(base, offer.settings) if offer.settings else base
