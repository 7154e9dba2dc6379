"""Runs every measurement, prints a table, and writes results.json and units.json beside this file."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bench import accept, init, refresh, relay, units
from bench.table import print_table
from bench.world import started
from cli.packages import packaged

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Measured:
    """Everything that one run has found out; `init` is by function, sizes are in MiB."""

    accept: accept.Accept
    relay: relay.Relay
    refresh: refresh.Refresh
    init: Mapping[str, init.Function]
    baseline: init.Start
    zip_mib: float
    load: tuple[float, float]
    row_bytes: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """As results.json has it."""
        return {
            "accept": self.accept.to_json(),
            "relay": self.relay.to_json(),
            "refresh": self.refresh.to_json(),
            "init_emulated": {name: round(function.ratio, 2) for name, function in self.init.items()},
            "zip_mib": round(self.zip_mib, 2),
            "machine": {
                "date": datetime.now(UTC).date().isoformat(),
                "cores": os.cpu_count(),
                "system": f"{platform.system()} {platform.machine()}",
                "python": platform.python_version(),
                "load_before": round(self.load[0], 1),
                "load_after": round(self.load[1], 1),
            },
        }


def measure(directory: Path) -> Measured:
    """Measures one thing after the other; `directory` takes what the servers write."""
    before, package = os.getloadavg()[0], packaged()
    with started(directory / "world") as world:
        world.gateway.callers.allow_alias("", "bench", {"send"}, {"*"})
        functions, baseline = init.measure(world, package.artifact, directory)
        accepted, relayed = accept.measure(world), relay.measure(world)
        rows = units.row_bytes(world)
        refreshed = refresh.measure(world)
    load = before, os.getloadavg()[0]
    size = package.size / 2**20
    return Measured(accepted, relayed, refreshed, functions, baseline, size, load, rows)


def main() -> None:
    """Runs it all."""
    with TemporaryDirectory(prefix="mailgrant-bench-") as directory:
        measured = measure(Path(directory))
    print_table(measured)
    _write(HERE / "results.json", measured.to_json())
    _write(units.FILE, units.to_json(measured))


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
