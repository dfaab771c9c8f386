"""What comes in place of a message, and is refused in our words. Apart from its users, some of which need no SDK."""


class UnreadableError(ValueError):
    """Its text is what the client is told."""
