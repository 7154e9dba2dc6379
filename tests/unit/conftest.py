"""Fixtures that start a server: one for each test process, however many modules ask for it."""

from __future__ import annotations

from tests.unit.accounts_world import people
from tests.unit.aws_tables import aws
from tests.unit.mailing_world import dovecot, mail, mail_server, mailing

__all__ = ["aws", "dovecot", "mail", "mail_server", "mailing", "people"]
