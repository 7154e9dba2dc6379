"""The tests of the stores once more, at the second emulator: the same writes are done, and the same refused.

They are collected where their names are, and ask for the fixtures of this directory.
"""

from __future__ import annotations

from tests.unit.test_callers_table import *  # noqa: F403 - every test and fixture of the module
from tests.unit.test_conditions_accounts import *  # noqa: F403 - as above
from tests.unit.test_conditions_mail import *  # noqa: F403 - as above
