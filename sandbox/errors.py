"""The root of what goes wrong in the sandbox and its demo, so that one place can say it."""


class SandboxError(Exception):
    """The sandbox or its demo cannot go on; the message says why, and what to do about it."""
