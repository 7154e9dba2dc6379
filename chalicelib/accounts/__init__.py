"""Mailboxes, how they are connected, and the care of their tokens."""
