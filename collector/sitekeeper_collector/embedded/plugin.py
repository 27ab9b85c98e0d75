"""amqtt's hooks: log in by the password files of the broker's folder, and keep everybody to their topics.

amqtt makes plugins from their dotted name and a dataclass, so this is the one place where a dataclass stands.
"""

import hmac
from dataclasses import dataclass
from pathlib import Path

from amqtt.contexts import Action, BaseContext
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session

from sitekeeper_collector.broker import folder
from sitekeeper_collector.broker.mosquitto import TAIL
from sitekeeper_collector.embedded.access import may_hear, may_publish
from sitekeeper_protocol.errors import ProtocolError


class FolderLogin(BaseAuthPlugin):  # type: ignore[misc]  # amqtt has no types
    """Lets in whoever knows the password in the folder, under the user name as client id and no other.

    The file is read at each login: a site that was added while the broker runs can log in at once.
    """

    @dataclass
    class Config:
        """Where the passwords are, and the collector's user name."""

        folder: str
        collector: str

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        self._folder = Path(self._get_config_option("folder"))
        self._collector = str(self._get_config_option("collector"))

    async def authenticate(self, *, session: Session) -> bool:
        """Whether the user name, password and client id belong together."""
        user, given = session.username or "", session.password or ""
        if session.client_id != user:
            return False
        try:
            expected = folder.read_password(self._file(user))
        except (ProtocolError, folder.BrokerFolderError):
            return False
        return expected is not None and hmac.compare_digest(expected.encode(), given.encode())

    def _file(self, user: str) -> Path:
        if user == self._collector:
            return folder.collector_password_file(self._folder)
        if user == TAIL:
            return folder.tail_password_file(self._folder)
        return folder.site_password_file(self._folder, user)


class OwnTopics(BaseTopicPlugin):  # type: ignore[misc]  # amqtt has no types
    """Refuses what ``access`` does not allow."""

    @dataclass
    class Config:
        """The collector's user name."""

        collector: str

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        self._collector = str(self._get_config_option("collector"))

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool:
        """Whether the session may do ``action`` with ``topic``, which is a filter where it subscribes."""
        if session is None or not session.username or topic is None:
            return False
        allowed = may_publish if action == Action.PUBLISH else may_hear
        return allowed(session.username, topic, self._collector)
