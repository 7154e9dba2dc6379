"""What the package is made of: a bill of materials (CycloneDX 1.6, JSON), and the licences as text.

Both are made from the very wheels that were packed, so they name what is shipped and nothing else. They hold
no time and no random number: the same package has the same bill.
"""

from __future__ import annotations

import email
import hashlib
import json
import re
import tomllib
import zipfile
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from email.message import Message

BILL: Final = "sbom{}.cdx.json"
LICENSES: Final = "THIRD_PARTY_LICENSES.txt"
_PROJECT: Final = Path(__file__).resolve().parent.parent
_SPDX: Final = {
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "BSD License": "BSD-3-Clause",  # Jinja2's classifier; its text has three clauses
}
"""How distributions that do not use SPDX's names call their licence."""
_CLASSIFIER: Final = "License :: OSI Approved :: "
_NESTED: Final = ("type", "name", "version", "purl", "licenses", "hashes")


@dataclass(frozen=True)
class Material:
    """One distribution: its licence (SPDX), SHA-256 hashes, licence texts, what is inside."""

    name: str
    version: str
    license: str
    hashes: tuple[str, ...]
    texts: tuple[str, ...]
    inside: tuple[dict[str, Any], ...] = ()

    @classmethod
    def of_wheel(cls, wheel: Path) -> Self:
        """The distribution that a wheel holds, and what its own bills (PEP 770) name, such as OpenSSL."""
        with zipfile.ZipFile(wheel) as archive:
            files = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" in name}
        facts = email.message_from_bytes(next(files[name] for name in files if name.endswith("/METADATA")))
        texts = (files[name].decode() for name in sorted(files) if _is_license(name))
        bills = (
            json.loads(files[name]) for name in sorted(files) if "/sboms/" in name and name.endswith("json")
        )
        inside = [
            {field: one[field] for field in _NESTED if field in one}
            for bill in bills
            for one in bill["components"]
        ]
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        return cls(facts["Name"], facts["Version"], _license(facts), (digest,), tuple(texts), tuple(inside))

    @classmethod
    def of_chalice(cls) -> Self:
        """Chalice's runtime, which Chalice copies from its installation; its hashes are those of the lock.

        The lock does not tell the wheel's from the source archive's, hence both.
        """
        found = distribution("chalice")
        lock = (_PROJECT / "requirements-dev.txt").read_text()
        entry = re.search(rf"^chalice=={re.escape(found.version)} .*?(?=^\S)", lock, re.DOTALL | re.MULTILINE)
        hashes = re.findall(r"sha256:([0-9a-f]{64})", entry.group() if entry else "")
        texts = [Path(str(one.locate())).read_text() for one in found.files or () if _is_license(str(one))]
        facts: Any = found.metadata
        return cls("chalice", found.version, _license(facts), tuple(hashes), tuple(texts))

    def component(self) -> dict[str, Any]:
        """The distribution in the words of CycloneDX."""
        purl = f"pkg:pypi/{self.name.lower().replace('_', '-')}@{self.version}"
        return {
            "type": "library",
            "bom-ref": purl,
            "name": self.name,
            "version": self.version,
            "purl": purl,
            "licenses": [{"expression": self.license}],
            "hashes": [{"alg": "SHA-256", "content": digest} for digest in self.hashes],
            **({"components": list(self.inside)} if self.inside else {}),
        }


def write(tree: Path, wheels: Path, sha256: str, out_dir: Path, suffix: str = "") -> None:
    """Write the bill and the licences of the unpacked package `tree`, whose zip has that hash.

    The bill's name ends with `suffix`.
    """
    kept = {info.name.removesuffix(".dist-info").lower() for info in tree.glob("*.dist-info")}
    found = [Material.of_wheel(wheel) for wheel in sorted(wheels.glob("*.whl")) if _stem(wheel) in kept]
    materials = sorted([*found, Material.of_chalice()], key=lambda one: one.name.lower())
    project = tomllib.loads((_PROJECT / "pyproject.toml").read_text())["project"]
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": project["name"],
                "name": project["name"],
                "version": project["version"],
                "licenses": [{"license": {"id": project["license"]}}],
                "hashes": [{"alg": "SHA-256", "content": sha256}],
            }
        },
        "components": [material.component() for material in materials],
        "dependencies": [
            {"ref": project["name"], "dependsOn": [one.component()["bom-ref"] for one in materials]}
        ],
    }
    (out_dir / BILL.format(suffix)).write_text(json.dumps(bill, indent=1) + "\n")
    (out_dir / LICENSES).write_text("\n".join(map(_chapter, materials)))


def _chapter(material: Material) -> str:
    title = f"{material.name} {material.version}: {material.license}"
    return "\n\n".join([f"{title}\n{'=' * len(title)}", *material.texts]) + "\n"


def _stem(wheel: Path) -> str:
    """The name and version in a wheel's file name, which its description's directory bears too."""
    return "-".join(wheel.name.split("-")[:2]).lower()


def _is_license(name: str) -> bool:
    last = name.rpartition("/")[2].upper()
    return ".dist-info/" in name and last.startswith(("LICENSE", "LICENCE", "NOTICE", "COPYING"))


def _license(facts: Message[str, str]) -> str:
    """The licence that a distribution declares: as an expression (PEP 639), in a word, or by a classifier."""
    classifiers = [one for one in facts.get_all("Classifier", []) if one.startswith(_CLASSIFIER)]
    declared = (
        facts["License-Expression"] or facts["License"] or "".join(classifiers[:1]).removeprefix(_CLASSIFIER)
    )
    return _SPDX.get(declared, declared)
