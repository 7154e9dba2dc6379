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

from bench import accept, init, memory, refresh, relay, units
from bench.table import print_table
from bench.world import started
from cli.packages import packaged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.init import Function, Start

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Measured:
    """Everything that one run has found out; `init` and `memory` are by function, sizes are in MiB."""

    accept: accept.Accept
    relay: relay.Relay
    refresh: refresh.Refresh
    init: Mapping[str, Function]
    baseline: Start
    memory: Mapping[str, float]
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
                "boto3_init_ms": round(self.baseline.init),
                "memory_mib": {name: round(size) for name, size in self.memory.items()},
                "processor_ms_per_refresh": {
                    str(at_once): {name: round(taken, 1) for name, taken in rate.processor_ms.items()}
                    for at_once, rate in self.refresh.rates.items()
                },
            },
        }


def measure(directory: Path) -> Measured:
    """Measures one thing after the other; `directory` takes what the servers write."""
    before, package = os.getloadavg()[0], packaged()
    with started(directory / "world") as world:
        application = init.unpacked(package.artifact, directory)
        functions, baseline = init.measure(world, application, directory)
        needed = memory.measure(world, application)
        accepted, relayed = accept.measure(world), relay.measure(world)
        rows = units.row_bytes(world)
        refreshed = refresh.measure(world)
    load = before, os.getloadavg()[0]
    size = package.size / 2**20
    return Measured(accepted, relayed, refreshed, functions, baseline, needed, size, load, rows)


def main() -> None:
    """Runs it all."""
    with TemporaryDirectory(prefix="mailgrant-bench-") as directory:
        measured = measure(Path(directory))
    print_table(measured)
    _write(HERE / "results.json", measured.to_json())
    _write(units.FILE, units.to_json(measured))


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
