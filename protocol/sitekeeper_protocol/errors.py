"""The one error that hostile, damaged or foreign bytes give."""


class ProtocolError(ValueError):
    """A message that can't be accepted.

    ``code`` is a short stable word for counters and quarantine; ``detail`` says what is wrong, for a person, and never
    holds more than a few dozen characters of the message itself.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
