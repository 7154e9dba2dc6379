"""Prints which promise is shown by which test; fails for a stray test and for a required row without one."""

from __future__ import annotations

import sys

from tests.matrix.collected import collected
from tests.matrix.matrix import matrix, printed, read_rows


def main() -> int:
    """Reads the rows and collects the tests; the exit status."""
    found = matrix(read_rows(), collected())
    print("\n".join(printed(found)))
    return 1 if found.gaps or found.strays else 0


if __name__ == "__main__":
    sys.exit(main())
