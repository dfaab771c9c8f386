"""The base of errors whose text is meant for the client. A module of its own, as some of its users need no SDK."""


class UnreadableError(ValueError):
    """The text of the error is the message to the client."""
