# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: a package or an action that this collection brings is another than the one that was looked at."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import yaml

from tests import CHECKOUT, VERSION

PIN = re.compile(r"^([a-z0-9][\w.-]*)(?:\[.*?\])?==(\S+)", re.MULTILINE | re.IGNORECASE)


def built(folder: Path, umask: int, *options: str) -> dict[str, bytes]:
    """Each file that a build leaves, by its name."""
    build = [sys.executable, str(CHECKOUT / "scripts" / "build"), str(folder), *options]
    env = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    done = subprocess.run(build, cwd=folder.parent, env=env, umask=umask, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_archives_and_bill_of_materials_are_the_same_each_time_and_whole(tmp_path: Path) -> None:
    """Built later, and by somebody with other habits."""
    first, second = built(tmp_path / "one", 0o022), built(tmp_path / "two", 0o077)
    assert sorted(first) == [
        f"scout-drills-{VERSION}.tar.gz", f"scout-recovery-{VERSION}.cdx.json", f"scout-recovery-{VERSION}.tar.gz",
    ]  # fmt: skip
    assert [name for name in first if first[name] != second[name]] == []
    for name in ("recovery", "drills"):
        with tarfile.open(tmp_path / "one" / f"scout-{name}-{VERSION}.tar.gz") as archive:
            members = archive.getmembers()
        assert [each.name for each in members if not each.isfile() and not each.isdir()] == []
        assert {each.mtime for each in members} == {315532800}
        names = {each.name for each in members}
        roles = {name for name in names if re.fullmatch(r"roles/\w+", name)}
        assert roles
        assert [role for role in roles if f"{role}/README.md" not in names] == []
    found = json.loads(first[f"scout-recovery-{VERSION}.cdx.json"])
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    pinned = dict(PIN.findall((CHECKOUT / "requirements" / "extras.txt").read_text()))
    assert {each["name"]: each["version"] for each in found["components"]} == pinned
    assert len(pinned) > 10
    for each in found["components"]:
        hashes = each["externalReferences"][0]["hashes"]
        assert hashes, each["name"]
        assert all(re.fullmatch("[0-9a-f]{64}", one["content"]) for one in hashes)
    assert len({each["bom-ref"] for each in found["components"]}) == len(pinned)


def test_archives_name_the_address_that_they_are_built_for(tmp_path: Path) -> None:
    built(tmp_path / "dist", 0o022, "--repository", "https://git.example.org/ours/scout/")
    for name in ("recovery", "drills"):
        with tarfile.open(tmp_path / "dist" / f"scout-{name}-{VERSION}.tar.gz") as archive:
            content = archive.extractfile("MANIFEST.json")
            assert content
            about = json.load(content)["collection_info"]
            for rules in ("alerts.yml", "prometheusrule.yml") if name == "recovery" else ():
                alerts = archive.extractfile(f"monitoring/{rules}")
                assert alerts
                addresses = set(re.findall(r"https://[^/]+/\w+/\w+", alerts.read().decode()))
                assert addresses == {"https://git.example.org/ours/scout"}
        assert about["repository"] == about["homepage"] == "https://git.example.org/ours/scout"
        assert about["issues"] == "https://git.example.org/ours/scout/issues"
        assert about["documentation"] == "https://git.example.org/ours/scout/tree/main/docs"


def test_a_provenance_statement_names_what_was_built_from_which_commit(tmp_path: Path) -> None:
    """And none is written of files that no commit has."""
    tree = tmp_path / "tree"
    subprocess.run(["git", "clone", "-q", str(CHECKOUT), str(tree)], check=True)
    head = subprocess.run(["git", "-C", str(tree), "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    version = yaml.safe_load((tree / "galaxy.yml").read_text())["version"]
    words = ["--repository", "https://git.example.org/ours/scout", "--builder", "https://ci.example.org/runs/7"]
    (tree / "scripts" / "build").write_bytes((CHECKOUT / "scripts" / "build").read_bytes())
    subprocess.run(["git", "-C", str(tree), "update-index", "--assume-unchanged", "scripts/build"], check=True)
    build = [sys.executable, str(tree / "scripts" / "build"), str(tmp_path / "dist"), *words]
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "dist" / f"scout-recovery-{version}.intoto.json").read_text())
    assert (found["_type"], found["predicateType"]) == (
        "https://in-toto.io/Statement/v1",
        "https://slsa.dev/provenance/v1",
    )
    assert {each["name"]: each["digest"]["sha256"] for each in found["subject"]} == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (tmp_path / "dist").iterdir()
        if not path.name.endswith(".intoto.json")
    }
    definition = found["predicate"]["buildDefinition"]
    assert definition["resolvedDependencies"][0] == {
        "uri": "git+https://git.example.org/ours/scout", "digest": {"gitCommit": head.stdout.strip()},
    }  # fmt: skip
    assert found["predicate"]["runDetails"]["builder"] == {"id": "https://ci.example.org/runs/7"}
    (tree / "galaxy.yml").write_text("version: 6.6.6\n")
    refused = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True)
    assert (refused.returncode, "commit first" in refused.stderr) == (2, True)


def test_every_package_is_pinned_with_its_hashes() -> None:
    for name in ("runtime", "extras", "dev"):
        text = (CHECKOUT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
        entries = re.split(r"\n(?=[a-z0-9])", text, flags=re.IGNORECASE)
        assert [entry.split()[0] for entry in entries if PIN.match(entry) and "--hash=sha256:" not in entry] == []


def test_every_action_of_every_workflow_is_pinned_to_a_commit_and_jobs_have_few_rights() -> None:
    workflows = list((CHECKOUT / ".github" / "workflows").glob("*.yml"))
    assert workflows
    for path in [*workflows, *(CHECKOUT / "deploy").glob("*.yml")]:
        text = path.read_text(encoding="utf-8")
        assert all(
            re.fullmatch(r"[\w./-]+@[0-9a-f]{40}  # v[\d.]+", name) for name in re.findall(r"uses: (.*)", text)
        ), path
        found = yaml.safe_load(text)
        if "jobs" in found:
            assert found["permissions"] == {}
            assert all("permissions" in job for job in found["jobs"].values()), path


def test_the_audit_looks_at_what_is_installed() -> None:
    audit = (CHECKOUT / "deploy" / "dependency-audit.yml").read_text(encoding="utf-8")
    command = re.search(r"run: (pipx run pip-audit.*)", audit)
    assert command
    assert "--require-hashes --requirement requirements/extras.txt" in command[1]
    assert command[1] in (CHECKOUT / "SECURITY.md").read_text(encoding="utf-8")
    assert "--require-hashes -r" in (CHECKOUT / "deploy" / "Containerfile").read_text(encoding="utf-8")


def test_nothing_is_installed_on_a_machine_unasked() -> None:
    """`make test` as root installed and started Docker."""
    asked = "from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import docker as d\n"
    asked += "d.make_ready = lambda: print('installs')\nd.ready = lambda: print('looks')\nd.ensure()"
    for setup, said in (("", "looks"), ("yes", "looks"), ("docker", "installs")):
        done = subprocess.run(
            [sys.executable, "-c", asked],
            env={"SETUP": setup, "PYTHONPATH": str(CHECKOUT / ".collections"), "PATH": "/usr/bin:/bin"},
            cwd=CHECKOUT, capture_output=True, text=True,
        )  # fmt: skip
        assert done.stdout.strip() == said, done.stderr
    assert "make_ready" not in (CHECKOUT / "extensions" / "molecule" / "run.py").read_text(encoding="utf-8")
