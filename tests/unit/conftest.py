"""Fixtures that start a server: one for each test process, however many modules ask for it."""

from __future__ import annotations

from tests.unit.accounts_world import people
from tests.unit.aws_tables import aws

__all__ = ["aws", "people"]
