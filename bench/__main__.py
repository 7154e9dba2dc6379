"""``python -m bench``, which is what ``make bench`` runs."""

from __future__ import annotations

from bench.run import main

main()
