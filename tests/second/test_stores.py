"""The tests of the stores once more, at the second emulator: the same writes, and the same refusals.

What is imported here is collected here, and asks for the fixtures of this directory.
"""

from __future__ import annotations

from tests.unit import test_callers_table, test_conditions_accounts, test_conditions_mail, test_rates

MODULES = (test_conditions_mail, test_conditions_accounts, test_callers_table, test_rates)
FIXTURES = ("pytestmark",)

for module in MODULES:
    for name, value in vars(module).items():
        if name.startswith("test_") or type(value).__name__ == "FixtureFunctionDefinition":
            globals()[f"{name}" if not name.startswith("test_") else f"test_uf7_{name[5:]}"] = value
