"""What the one-command start carries with it instead of servers of its own: an MQTT broker in this process."""


class EmbeddedBrokerError(RuntimeError):
    """The embedded broker can't be started or stopped; the text says why."""
