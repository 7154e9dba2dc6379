"""``python -m bench``, which is what ``make bench`` runs."""

from __future__ import annotations

from bench.run import main

if __name__ == "__main__":  # the processes that refresh import this module, too
    main()
