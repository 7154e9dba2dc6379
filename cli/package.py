"""Builds what is deployed: one zip for every function, and two CloudFormation templates for every stage.

Chalice does the packaging; around it stand the guarantees that it does not give:

- Every dependency is taken from the lock, hashes checked, as a wheel for Lambda's platform. (Chalice alone
  fetches such wheels without their hashes, and exits 0 with an incomplete zip when it finds none.)
- The unpacked tree is imported in a bare interpreter before anybody uploads it.
- It holds bytecode in the place of sources, no symbols for debuggers, and nothing that is never imported.
- The same sources give the same bytes, so that the artifact's name can be its hash.
- There is one zip for each of Lambda's processors (see architectures).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self

import yaml

from cli import architectures, materials, symbols
from cli.architectures import ARM64, X86_64
from cli.trouble import Trouble

PROJECT: Final = Path(__file__).resolve().parent.parent
WHEELS: Final = PROJECT / "build" / "wheels"
ARTIFACTS: Final = {X86_64: "package.zip", ARM64: "package-arm64.zip"}
TEMPLATE: Final = "template.json"
ANY_METHOD: Final = "x-amazon-apigateway-any-method"
DATA_TEMPLATE: Final = "data-stack.yaml"
CHALICE_STAGE: Final = "package"  # fixed: the real stage is a parameter of the template
NEWEST_PYTHON: Final = (3, 15)  # the newest of Lambda's runtimes that Chalice knows
MAXIMUM_UNPACKED_BYTES: Final = 250 * 1024 * 1024  # AWS Lambda's quota for a function's unpacked package
PACKAGED_LIBRARIES: Final = (
    "certifi",
    "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.serialization.pkcs12",
    "email_validator",
    "google.oauth2.service_account",
    "jinja2",
    "jwt",
    "msal",
    "msgspec",
    "requests",
)
SOURCES: Final = ("app.py", "chalicelib", ".chalice", "requirements.txt")
LEFT_OUT: Final = ("__pycache__", "deployments", "deployed")
NEVER_IMPORTED: Final = (
    "cffi",  # compiles C; what it has compiled needs only _cffi_backend
    "pycparser",
    "dns",  # email_validator's, which does not ask DNS here
    "pyasn1",  # google-auth's, for RSA without OpenSSL
    "pyasn1_modules",
    "google/auth/aio",
    "google/auth/compute_engine",
    "google/auth/aws.py",  # from here on credentials of other kinds than a mailbox owner's
    "google/auth/downscoped.py",
    "google/auth/external_account*.py",
    "google/auth/identity_pool.py",
    "google/auth/pluggable.py",
    "google/oauth2/gdch_credentials.py",
    "google/auth/impersonated_credentials.py",
    "google/auth/transport/_custom_tls_signer.py",
    "google/auth/transport/mtls.py",
    "google/auth/transport/*requests*.py",  # ways to make requests; ours is chalicelib/https.py
    "google/auth/transport/urllib3.py",
    "google/auth/transport/grpc.py",
    "google/*/_*_async.py",
    "urllib3/contrib",
    "urllib3/http2/connection.py",
    "cryptography/fernet.py",
    "cryptography/x509/ocsp.py",
    "cryptography/hazmat/asn1",
    "cryptography/hazmat/primitives/twofactor",
    "msal/__main__.py",
    "msal/broker.py",  # signs people in on a desktop
    "charset_normalizer/*.so",  # faster guesses of an encoding than anybody asks for here
    "charset_normalizer/cli",
    "idna/cli.py",
    "jinja2/ext.py",  # further words of the template language, and templates that nobody trusts
    "jinja2/sandbox.py",
)
"""Paths of what libraries ask for or have, and use only for what is not done here."""
_UNNEEDED_SUFFIXES: Final = (".pyi", ".pyc", ".c", ".h")
_UNNEEDED_NAMES: Final = ("RECORD", "sboms")
_FIXED_TIME: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold


class PackageError(Trouble):
    """The package could not be built, or would not work; the message says why."""

    def __init__(
        self, message: str, fix: str = "Mend what the message names; make check shows it again."
    ) -> None:
        super().__init__("package_failed", message, fix)


@dataclass(frozen=True)
class Package:
    """What a deployment needs: the zip with its SHA-256 (hexadecimal) and sizes (bytes), and templates.

    `architecture` is the processor that it is for; `of` gives the package for the other one.
    """

    artifact: Path
    template: Path
    data_template: Path
    sha256: str
    size: int
    unpacked_size: int
    architecture: str = X86_64

    def of(self, architecture: str) -> Self:
        """The same application for that processor: another zip with these templates."""
        other = self.read(self.artifact.parent, architecture)
        return replace(other, template=self.template, data_template=self.data_template)

    @classmethod
    def read(cls, directory: Path, architecture: str = X86_64) -> Self:
        """Return the package that was built into `directory`."""
        artifact = directory / ARTIFACTS[architecture]
        templates = (directory / TEMPLATE, directory / DATA_TEMPLATE)
        content = artifact.read_bytes()
        with zipfile.ZipFile(artifact) as archive:
            unpacked_size = sum(entry.file_size for entry in archive.infolist())
        sha256 = hashlib.sha256(content).hexdigest()
        return cls(artifact, *templates, sha256, len(content), unpacked_size, architecture)


def package(out_dir: Path, *, project: Path = PROJECT) -> Package:
    """Build the package of `project` into `out_dir`: two zips and templates, bills of materials, licences.

    Raises PackageError if a dependency is missing, the tree cannot be imported or is too large for Lambda.
    """
    _require_known_python()
    with TemporaryDirectory(prefix="mailgrant-package-") as temporary:
        work = Path(temporary)
        source = _copy_sources(project, work / "source")
        wheels = fetch_wheels(source / "requirements.txt")
        packaged = _run_chalice(source, wheels, work / "out")
        tree = _unpack(packaged / "deployment.zip", work / "tree")
        _strip(tree)
        symbols.strip(tree)
        _import_everything(tree)
        _compile(tree)
        out_dir.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / ".chalice" / DATA_TEMPLATE, out_dir / DATA_TEMPLATE)
        built = _write(tree, packaged / "sam.yaml", out_dir)
        materials.write(tree, wheels, built.sha256, out_dir)
        _write_for_arm64(tree, fetch_wheels(source / "requirements.txt", ARM64), work / "arm64", out_dir)
        return built


def fetch_wheels(requirements: Path, architecture: str = X86_64) -> Path:
    """Return the directory of the locked wheels for Lambda; download them if no earlier call has.

    So a package can be built again without a network. Raises PackageError if a wheel is missing or not the
    locked one.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    lock = hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]
    wheels = WHEELS / f"{python}-{architecture}-{lock}"
    if not wheels.exists():
        WHEELS.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=WHEELS) as temporary:
            downloaded = _download_wheels(requirements, Path(temporary) / "wheels", python, architecture)
            with contextlib.suppress(OSError):  # somebody else was faster, with the same files
                downloaded.rename(wheels)
    return wheels


def main() -> int:
    """Build into the directory that is the only argument, or `--fetch` the wheels. Returns the exit code."""
    try:
        if sys.argv[1:] == ["--fetch"]:
            for architecture in ARTIFACTS:
                fetch_wheels(PROJECT / "requirements.txt", architecture)
            return 0
        (out_dir,) = sys.argv[1:]
        built = package(Path(out_dir))
    except PackageError as error:
        sys.stderr.write(f"{error}\nFix: {error.fix}\n")
        return 1
    for architecture in ARTIFACTS:
        one = built.of(architecture)
        sizes = f"{one.size / 1e6:.1f} MB, {one.unpacked_size / 1e6:.1f} MB unpacked"
        sys.stdout.write(f"{one.artifact}: {architecture}, {sizes}\nsha256 {one.sha256}\n")
    sys.stdout.write(f"{built.template}\n")
    return 0


def _require_known_python() -> None:
    if sys.version_info[:2] > NEWEST_PYTHON:
        newest = ".".join(map(str, NEWEST_PYTHON))
        raise PackageError(
            f"Lambda has no Python {sys.version_info.major}.{sys.version_info.minor}, which runs here.",
            f"Build with Python 3.11 to {newest}: rm -rf .venv && make install PYTHON=python{newest}",
        )


def _copy_sources(project: Path, source: Path) -> Path:
    source.mkdir()
    for name in SOURCES:
        original = project / name
        if original.is_dir():
            shutil.copytree(original, source / name, ignore=shutil.ignore_patterns(*LEFT_OUT))
        else:
            shutil.copy2(original, source / name)
    return source


def _download_wheels(requirements: Path, wheels: Path, python: str, architecture: str) -> Path:
    """Download the locked wheels for Lambda: Amazon Linux 2 (2023 from Python 3.12 on)."""
    wheels.mkdir()
    known = ["manylinux2014", "manylinux_2_17"]
    if sys.version_info >= (3, 12):
        known += ["manylinux_2_28", "manylinux_2_34"]
    platforms = [f"{name}_{architectures.MACHINE[architecture]}" for name in known]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--require-hashes", "--no-deps", "--only-binary=:all:", "--implementation=cp"]
    command += [f"--python-version={python}", *(f"--platform={name}" for name in platforms)]
    try:
        _run([*command, f"--dest={wheels}", f"--requirement={requirements}"], dict(os.environ))
    except PackageError as error:
        raise PackageError(
            f"the locked wheels for Lambda could not be fetched: {error}",
            "Run make install where pip reaches its index; if a wheel lacks for this Python, use another "
            "(rm -rf .venv && make install PYTHON=python3.13), and make lock if a release was withdrawn.",
        ) from error
    return wheels


def _run_chalice(source: Path, wheels: Path, out: Path) -> Path:
    environment = {
        "PATH": os.defpath,
        "HOME": str(source),
        "AWS_DEFAULT_REGION": "us-east-1",  # Chalice asks for one, the template does not depend on it
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    chalice = Path(sys.executable).with_name("chalice")
    command = [str(chalice), f"--project-dir={source}", "package", f"--stage={CHALICE_STAGE}"]
    command += [
        "--template-format=yaml",
        f"--merge-template={_merge_templates(source)}",
        str(out),
    ]
    output = _run(command, environment)
    if "Could not install" in output:
        raise PackageError(f"chalice left dependencies out of the package:\n{output}")
    return out


def _merge_templates(source: Path) -> Path:
    """Write what Chalice merges into its template: every template of .chalice but that of the data."""
    from chalice.package import YAMLTemplateSerializer  # takes long, and other commands do not need it

    merged: dict[str, Any] = {}
    for path in sorted((source / ".chalice").glob("*.yaml")):
        if path.name != DATA_TEMPLATE:
            for section, content in YAMLTemplateSerializer().load_template(path.read_text()).items():
                known = merged.get(section, {})
                merged[section] = {**known, **content} if isinstance(content, dict) else content
    written = source / "merged.json"
    written.write_text(json.dumps(merged))
    return written


def _unpack(archive: Path, tree: Path) -> Path:
    with zipfile.ZipFile(archive) as content:
        content.extractall(tree)
    return tree


def _strip(tree: Path) -> None:
    for path in (path for pattern in NEVER_IMPORTED for path in tree.glob(pattern)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    _forget_distributions_without_files(tree)
    for path in sorted(tree.rglob("*"), reverse=True):
        if path.suffix in _UNNEEDED_SUFFIXES and path.is_file():
            path.unlink()
        elif path.name in _UNNEEDED_NAMES and path.parent.suffix == ".dist-info":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _forget_distributions_without_files(tree: Path) -> None:
    """Delete the description of each distribution of which nothing is left in the tree."""
    for info in tree.glob("*.dist-info"):
        listed = (line.split(",")[0] for line in (info / "RECORD").read_text().splitlines())
        if not any((tree / name).exists() for name in listed if not name.startswith(info.name)):
            shutil.rmtree(info)


def _import_everything(tree: Path) -> None:
    """Import the application and each library with an empty environment, from nothing but the tree."""
    statements = [
        "import sys",
        "sys.dont_write_bytecode = True",
        f"sys.path.insert(0, {str(tree)!r})",
        "import app",
    ]
    statements += [f"import {name}" for name in PACKAGED_LIBRARIES]
    try:
        _run([sys.executable, "-I", "-S", "-c", "\n".join(statements)], {})
    except PackageError as error:
        raise PackageError(f"the packaged application cannot be imported: {error}") from error


def _compile(tree: Path) -> None:
    """Put bytecode into the sources' place, which halves what a cold start spends on imports.

    A traceback still names file and line. Bytecode is never checked against anything (PEP 552).
    """
    command = [sys.executable, "-I", "-S", "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash"]
    _run([*command, "-b", "-s", str(tree), "-p", "/var/task", str(tree)], {})  # -b: beside the sources
    for source in tree.rglob("*.py"):
        source.unlink()


def _write(tree: Path, merged_template: Path, out_dir: Path) -> Package:
    _zip(tree, out_dir / ARTIFACTS[X86_64])
    # As JSON, because CloudFormation does not read the anchors that YAML is dumped with.
    merged: dict[str, Any] = yaml.safe_load(merged_template.read_text())
    if "RestAPI" in merged["Resources"]:  # an application without routes has none
        _answer_every_method(merged["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["paths"])
    (out_dir / TEMPLATE).write_text(json.dumps(merged, indent=1, sort_keys=True) + "\n")
    built = Package.read(out_dir)
    if built.unpacked_size > MAXIMUM_UNPACKED_BYTES:
        raise PackageError(
            f"the package unpacks to {built.unpacked_size} bytes, Lambda takes {MAXIMUM_UNPACKED_BYTES}"
        )
    return built


def _answer_every_method(paths: dict[str, Any]) -> None:
    """Let each path hand on the methods that it does not have, to be answered by 405.

    API Gateway itself would answer as if nothing were there.
    """
    for item in paths.values():
        known = next(iter(item.values()))
        item[ANY_METHOD] = {name: value for name, value in known.items() if name != "operationId"}


def _write_for_arm64(tree: Path, wheels: Path, copy: Path, out_dir: Path) -> None:
    """Write the zip of the same application for the other processor, with a bill of its own."""
    try:
        exchanged = architectures.exchanged(tree, wheels, copy)
    except ValueError as error:
        raise PackageError(f"there is no package for {ARM64}: {error}") from error
    symbols.strip(exchanged)
    _zip(exchanged, out_dir / ARTIFACTS[ARM64])
    materials.write(exchanged, wheels, Package.read(out_dir, ARM64).sha256, out_dir, f"-{ARM64}")


def _zip(tree: Path, artifact: Path) -> None:
    """Write every file of `tree`, sorted and without times or owners."""
    with zipfile.ZipFile(artifact, "w") as archive:
        for path in sorted(path for path in tree.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(tree).as_posix(), _FIXED_TIME)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes(), compresslevel=9)


def _run(command: list[str], environment: dict[str, str]) -> str:
    """Run `command` and return what it printed. Raises PackageError with that if it fails."""
    result = subprocess.run(  # noqa: S603 - our own commands, no shell
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if result.returncode:
        raise PackageError(f"{Path(command[0]).name} failed ({result.returncode}):\n{result.stdout}")
    return result.stdout


if __name__ == "__main__":
    raise SystemExit(main())
