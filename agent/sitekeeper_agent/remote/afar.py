"""All that comes from the county to this site, and what it is told of it: settings and commands. Used by one thread."""

import logging
from typing import NamedTuple

from sitekeeper_agent.journal import Now
from sitekeeper_agent.probes.probe import Context
from sitekeeper_agent.remote.commands import Commands
from sitekeeper_agent.remote.keeper import Keeper
from sitekeeper_agent.remote.trial import Outcome
from sitekeeper_agent.sampler import Look
from sitekeeper_protocol import WIRE_VERSION, codec
from sitekeeper_protocol.messages import CommandName, Result, Sample

_log = logging.getLogger("sitekeeper.remote")


class News(NamedTuple):
    """A result to publish, and what it is about."""

    result: Result
    outcome: Outcome | None


class Afar:
    """Settings (``keeper``) and commands, with the results that are under way on this connection."""

    def __init__(self, keeper: Keeper, commands: Commands) -> None:
        self.keeper, self.commands = keeper, commands
        self._under_way: dict[int, News] = {}

    def config(self, payload: bytes, *, number: int) -> bool:
        """Settings have come; whether those in use have changed. Raises ``ProtocolError``."""
        return self.keeper.offer(codec.decode_config(payload), number=number)

    def command(self, payload: bytes, context: Context, now: Now, server_ms: int | None) -> bool:
        """A command has come; whether it wants a look at once. Raises ``ProtocolError``."""
        command = codec.decode_command(payload)
        _log.info("the county asks for %s", command.name)
        return self.commands.take(command, self.keeper.settings, context, now, server_ms)

    def looked(self, look: Look | None, error: str, now: Now) -> None:
        """A look is over, ``None`` if it came to nothing."""
        if not self.commands.awaits_look:
            return
        if look is None:
            self.commands.looked(now, {}, error, failed=True)
            return
        from sitekeeper_agent.remote import looked

        values, text = looked.told(look, self.keeper.settings.language)
        self.commands.looked(now, values, text, failed=False)

    def took(self, sample: Sample) -> None:
        """A sample is kept."""
        self.commands.played(sample.values)

    # --- telling -----------------------------------------------------------------------------------------------------------

    def news(self, now: Now) -> list[News]:
        """What is to be published now."""
        waiting = [News(result, None) for result in self.commands.untold()]
        outcome = self.keeper.news
        if outcome is not None:
            waiting.append(News(_result(outcome, now), outcome))
        under_way = list(self._under_way.values())
        return [
            news
            for news in waiting
            if not any(sent.outcome == news.outcome if news.outcome else sent.result == news.result for sent in under_way)
        ]

    def published(self, mid: int, news: News) -> None:
        """It is on its way under this packet id."""
        self._under_way[mid] = news

    def acknowledged(self, mid: int) -> None:
        """The broker has the packet."""
        news = self._under_way.pop(mid, None)
        if news is None:
            return
        if news.outcome is not None:
            self.keeper.told(news.outcome)
        else:
            self.commands.told(news.result)

    def disconnected(self) -> None:
        """What was under way goes again."""
        self._under_way.clear()


def _result(outcome: Outcome, now: Now) -> Result:
    return Result(
        WIRE_VERSION, f"config-{outcome.revision}", CommandName.CONFIGURE, outcome.state, now.wall_ms, text=outcome.text
    )
