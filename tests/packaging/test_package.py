"""What is in the package, and that it works where nothing else is installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from chalice.package import YAMLTemplateSerializer

import cli.package
from chalicelib.web.api.table import ROUTES
from cli.architectures import ARM64, X86_64, compiled_for, exchanged
from cli.materials import BILL, LICENSES
from cli.package import ANY_METHOD, PROJECT, SOURCES, PackageError, package
from cli.packages import packaged
from cli.symbols import SECTION_HEADERS_AT, loaded_part

if TYPE_CHECKING:
    from cli.package import Package

pytestmark = pytest.mark.xdist_group("packaging")

FUNCTIONS = ("APIHandler", "Connect", "Tokens", "RefreshTokens", "Refresh", "Send", "Relay", "RelayDue")

APPLICATION = """
import chalice

app = chalice.Chalice(app_name="mailgrant")


@app.lambda_function()
def send(event, context):
    return event
"""


def names(built: Package) -> list[str]:
    with zipfile.ZipFile(built.artifact) as archive:
        return archive.namelist()


def run_bare(tree: Path, code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(tree)!r}); {code}"]
    return subprocess.run(command, env={}, capture_output=True, text=True, check=False)


def test_the_zip_holds_the_application_and_nothing_of_the_workshop(built: Package) -> None:
    first_parts = {Path(name).parts[0] for name in names(built)}

    assert {"app.pyc", "chalicelib"} <= first_parts
    assert not first_parts & {"cli", "sandbox", "tests", "bench", "docs", ".chalice", "boto3", "botocore"}


def test_the_zip_stays_far_below_the_quotas_of_lambda(built: Package) -> None:
    print(f"package: {built.size / 1e6:.1f} MB, unpacked {built.unpacked_size / 1e6:.1f} MB")

    assert built.size < 7 * 1024 * 1024
    assert built.unpacked_size < 25_000_000


def test_the_unpacked_application_is_imported_without_any_environment(unpacked: Path) -> None:
    result = run_bare(unpacked, "import app; print(sorted(sys.modules))")

    assert result.returncode == 0, result.stderr
    assert "'msal'" not in result.stdout
    assert "'google.auth'" not in result.stdout


def test_everything_is_bytecode_that_is_used_as_it_was_shipped(unpacked: Path) -> None:
    result = run_bare(unpacked, "import app; print(app.__spec__.origin, app.register.__code__.co_filename)")

    origin, source = result.stdout.split()
    flags = {int.from_bytes(path.read_bytes()[4:8], "little") for path in unpacked.rglob("*.pyc")}
    assert Path(origin) == unpacked / "app.pyc"
    assert source == "/var/task/chalicelib/web/__init__.py"
    assert flags == {0b01}  # PEP 552: hash-based, unchecked
    assert not list(unpacked.rglob("*.py"))


def test_the_certificates_of_public_authorities_are_shipped(unpacked: Path) -> None:
    result = run_bare(unpacked, "import certifi; print(len(certifi.contents()))")

    assert int(result.stdout) > 100_000


def test_what_was_built_is_found_again_until_a_source_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.package, "PACKAGED_LIBRARIES", ())
    project, packages = _project(tmp_path, requirements=""), tmp_path / "packages"
    first = packaged(packages, project=project)
    first.template.write_text("{}")

    again = packaged(packages, project=project)
    (project / "app.py").write_text(f"{APPLICATION}\n# changed\n")
    other = packaged(packages, project=project)

    assert (again.artifact, again.sha256) == (first.artifact, first.sha256)
    assert again.template.read_text() == "{}"
    assert other.sha256 != first.sha256
    assert other.template.read_text() != "{}"


def test_only_the_latest_packages_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.package, "PACKAGED_LIBRARIES", ())
    project, packages = _project(tmp_path, requirements=""), tmp_path / "packages"
    for age in range(10):
        (packages / f"older-{age}").mkdir(parents=True)
        os.utime(packages / f"older-{age}", (age, age))

    built = packaged(packages, project=project)

    kept = {path.name for path in packages.iterdir() if path.is_dir()}
    assert kept == {built.artifact.parent.name, "older-6", "older-7", "older-8", "older-9"}


def test_the_command_says_where_the_package_is_and_its_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], built: Package
) -> None:
    monkeypatch.setattr(cli.package, "package", lambda _: built)
    monkeypatch.setattr(sys, "argv", ["package", str(tmp_path)])

    code = cli.package.main()

    printed = capsys.readouterr().out.splitlines()
    assert code == 0
    other = built.of(ARM64)
    assert printed[0].startswith(f"{built.artifact}: x86_64, {built.size / 1e6:.1f} MB, ")
    assert printed[2].startswith(f"{other.artifact}: arm64, {other.size / 1e6:.1f} MB, ")
    hashes = [f"sha256 {one.sha256}" for one in (built, other)]
    assert [printed[1], *printed[3:]] == [*hashes, str(built.template)]


def test_the_same_sources_give_the_same_bytes_wherever_and_whenever_they_were_checked_out(
    built: Package, tmp_path: Path
) -> None:
    project = tmp_path / "elsewhere"
    project.mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copyfile
        copy(PROJECT / name, project / name)
    for path in project.rglob("*"):
        path.chmod(0o700)
        os.utime(path, (1, 1))

    again = package(tmp_path / "out", project=project)

    assert again.sha256 == built.sha256
    for path in built.artifact.parent.iterdir():
        assert (again.artifact.parent / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_bill_names_every_distribution_with_version_hash_and_licence(
    built: Package, unpacked: Path
) -> None:
    bill = json.loads((built.artifact.parent / BILL.format("")).read_text())
    lock = (PROJECT / "requirements.txt").read_text() + (PROJECT / "requirements-dev.txt").read_text()

    listed = {one["name"].lower().replace("-", "_"): one for one in bill["components"]}
    packed = {path.name.partition("-")[0].lower(): path.name for path in unpacked.glob("*.dist-info")}
    assert set(listed) == {*packed, "chalice"}
    for name, one in listed.items():
        assert (
            name == "chalice"
            or packed[name] == f"{packed[name].partition('-')[0]}-{one['version']}.dist-info"
        )
        assert re.search(rf"^{name.replace('_', '-')}=={re.escape(one['version'])} ", lock, re.MULTILINE)
        assert one["hashes"]
        assert all(found["content"] in lock for found in one["hashes"])
        assert re.fullmatch(r"[A-Za-z0-9.-]+( OR [A-Za-z0-9.-]+)*", one["licenses"][0]["expression"])
    assert bill["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": built.sha256}]
    assert "openssl" in {one["name"] for one in listed["cryptography"]["components"]}


def test_every_licence_of_the_bill_is_there_as_text(built: Package) -> None:
    bill = json.loads((built.artifact.parent / BILL.format("")).read_text())
    chapters = re.split(r"\n={10,}\n", (built.artifact.parent / LICENSES).read_text())

    titles = [chapter.rstrip().splitlines()[-1] for chapter in chapters[:-1]]
    assert titles == [
        f"{one['name']} {one['version']}: {one['licenses'][0]['expression']}" for one in bill["components"]
    ]
    assert all(len(chapter) > 400 for chapter in chapters[1:])


def test_every_top_level_package_in_the_zip_is_ours_or_in_the_bill(built: Package, unpacked: Path) -> None:
    bill = json.loads((built.artifact.parent / BILL.format("")).read_text())
    modules = {"cffi": "_cffi_backend", "google_auth": "google", "pyjwt": "jwt"}

    known = {name.lower().replace("-", "_") for name in (one["name"] for one in bill["components"])}
    found = {path.name.partition(".")[0] for path in unpacked.iterdir() if path.suffix != ".dist-info"}

    assert found == {"app", "chalicelib", *(modules.get(name, name) for name in known)}


def test_a_dependency_that_cannot_be_had_stops_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = _project(tmp_path, requirements="msgspec==0.0.1 --hash=sha256:" + "0" * 64)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    with pytest.raises(PackageError, match="msgspec"):
        package(tmp_path / "out", project=project)


def test_a_dependency_that_chalice_leaves_out_stops_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = _project(tmp_path, requirements="msgspec==0.22.0\n")
    no_wheels = tmp_path / "wheels"
    no_wheels.mkdir()
    monkeypatch.setattr(cli.package, "fetch_wheels", lambda _: no_wheels)

    with pytest.raises(PackageError, match="chalice"):
        package(tmp_path / "out", project=project)


def test_an_application_that_cannot_be_imported_stops_the_build(tmp_path: Path) -> None:
    project = _project(tmp_path, requirements="")
    (project / "app.py").write_text((project / "app.py").read_text() + "\nimport boto3\n")

    with pytest.raises(PackageError, match="cannot be imported"):
        package(tmp_path / "out", project=project)


def test_ug7_every_path_hands_on_every_method(built: Package) -> None:
    template = json.loads(built.template.read_text())
    paths = template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["paths"]

    assert {prefix + path for prefix in ("/v1", "/iam/v1") for _, path, _ in ROUTES} < paths.keys()
    for item in paths.values():
        known = next(one for method, one in item.items() if method != ANY_METHOD)
        for name in ("security", "x-amazon-apigateway-integration"):
            assert item[ANY_METHOD].get(name) == known.get(name)


@pytest.mark.parametrize("which", ["application", "data"])
def test_cfn_lint_finds_nothing_in_the_templates(which: str, built: Package) -> None:
    template = built.template if which == "application" else PROJECT / ".chalice" / "data-stack.yaml"
    cfn_lint = Path(sys.executable).with_name("cfn-lint")

    command = [cfn_lint, template]
    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout


def test_everything_that_holds_data_outlives_its_stack() -> None:
    data = YAMLTemplateSerializer().load_template((PROJECT / ".chalice" / "data-stack.yaml").read_text())

    for name, resource in data["Resources"].items():
        assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain", name
        if resource["Type"] == "AWS::DynamoDB::Table":
            properties = resource["Properties"]
            assert properties["DeletionProtectionEnabled"] is True, name
            assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}, (
                name
            )


def test_no_name_in_the_template_is_bound_to_one_stage(built: Package) -> None:
    template = json.loads(built.template.read_text())

    for function in FUNCTIONS:
        properties = template["Resources"][function]["Properties"]
        assert "${Stage}" in properties["FunctionName"]["Fn::Sub"]
        assert properties["CodeUri"] == {"Bucket": {"Ref": "ArtifactBucket"}, "Key": {"Ref": "ArtifactKey"}}
    for function, queue in (("Relay", "relay"), ("Refresh", "refresh")):
        source = template["Resources"][function]["Properties"]["Events"][f"{function}SqsEventSource"]
        assert source["Properties"]["Queue"]["Fn::Sub"].endswith(f":mailgrant-${{Stage}}-{queue}")


def _project(tmp_path: Path, *, requirements: str) -> Path:
    """Return the smallest project that has this repository's stacks, and so fits its merged template."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "chalicelib").mkdir()
    (project / "chalicelib" / "__init__.py").touch()
    (project / "app.py").write_text(APPLICATION)
    (project / "requirements.txt").write_text(requirements)
    (project / ".chalice").mkdir()
    (project / ".chalice" / "app-stack.yaml").write_text("Parameters: {}\n")
    (project / ".chalice" / "data-stack.yaml").write_text("Resources: {}\n")
    (project / ".chalice" / "config.json").write_text('{"version": "2.0", "app_name": "mailgrant"}')
    return project


def test_the_package_for_arm64_differs_in_what_a_compiler_made_and_in_nothing_else(
    built: Package, unpacked: Path, tmp_path: Path
) -> None:
    other = built.of(ARM64)
    with zipfile.ZipFile(other.artifact) as archive:
        archive.extractall(tmp_path)

    ours, theirs = _by_name(unpacked), _by_name(tmp_path)

    assert ours.keys() == theirs.keys()
    differing = {name for name in ours if ours[name].read_bytes() != theirs[name].read_bytes()}
    compiled = {name for name in differing if compiled_for(ours[name]) == X86_64}
    assert {compiled_for(theirs[name]) for name in compiled} == {ARM64}
    assert {name.rpartition("/")[2] for name in differing - compiled} == {"WHEEL"}
    assert len(compiled) > 3
    bill = json.loads((other.artifact.parent / BILL.format(f"-{ARM64}")).read_text())
    assert bill["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": other.sha256}]


def test_compiled_parts_hold_what_a_loader_reads_and_no_symbols(
    built: Package, unpacked: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(built.of(ARM64).artifact) as archive:
        archive.extractall(tmp_path)

    compiled = [path for tree in (unpacked, tmp_path) for path in tree.rglob("*") if compiled_for(path)]
    loaded = run_bare(
        unpacked, "import _cffi_backend, markupsafe._speedups, msgspec._core, cryptography.x509"
    )

    assert {compiled_for(path) for path in compiled} == {X86_64, ARM64}
    for path in compiled:
        content = path.read_bytes()
        assert loaded_part(content) == content
        assert content[SECTION_HEADERS_AT:][:8] == bytes(8)
    assert loaded.returncode == 0, loaded.stderr


def test_a_part_without_a_counterpart_for_arm64_is_told(tmp_path: Path) -> None:
    tree, wheels = tmp_path / "tree", tmp_path / "wheels"
    tree.mkdir()
    wheels.mkdir()
    (tree / "fast.cpython-311-x86_64-linux-gnu.so").write_bytes(b"\x7fELF" + bytes(14) + b"\x3e\x00")

    with pytest.raises(ValueError, match="x86_64 only: fast"):
        exchanged(tree, wheels, tmp_path / "copy")


def _by_name(tree: Path) -> dict[str, Path]:
    """The files of a package, by their names without the processor's."""
    found = {str(path.relative_to(tree)): path for path in tree.rglob("*") if path.is_file()}
    return {name.replace("aarch64", "x86_64"): path for name, path in found.items()}
