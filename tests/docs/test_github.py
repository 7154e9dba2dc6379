"""What runs at GitHub is what runs everywhere, with no more rights than reading."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from tests.docs.pages import ROOT


def read(path: str) -> dict[Any, Any]:
    """A YAML file under .github."""
    found: dict[Any, Any] = yaml.safe_load((ROOT / ".github" / path).read_text(encoding="utf-8"))
    return found


def test_the_workflow_is_the_local_run_with_both_pythons() -> None:
    workflow = read("workflows/ci.yml")
    (job,) = workflow["jobs"].values()

    commands = [step["run"] for step in job["steps"] if "run" in step]

    assert commands[-1] == "bash .ci/run"
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.13"]
    assert {"push", "pull_request"} <= workflow[True].keys()  # YAML 1.1 reads the key `on` as true
    assert workflow["permissions"] == {"contents": "read"}
    assert "permissions" not in job


def test_actions_are_pinned_to_a_commit() -> None:
    (job,) = read("workflows/ci.yml")["jobs"].values()

    for step in job["steps"]:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step.get("uses", f"a/b@{'0' * 40}"))


def test_dependabot_sees_every_lock_and_the_actions() -> None:
    updates = {one["package-ecosystem"]: one for one in read("dependabot.yml")["updates"]}
    locks = re.findall(r"^\t@\$\(UV_COMPILE\) (\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert len(locks) > 3
    assert set(map(Path, updates["pip"]["directories"])) == {Path("/", lock).parent for lock in locks}
    assert updates["github-actions"]["directory"] == "/"
