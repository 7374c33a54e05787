# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWX's own client, awxkit, makes of deploy/awx, in an environment of its own; no controller is asked.

python -m tests.awxkit             compares the fields that it knows with those on record, and says what differs
python -m tests.awxkit --write     writes them to tests/unit/deploy/awxkit.json

awxkit has no schema: `awx import` asks the controller which fields it takes, and leaves out all others in silence. What it knows
without one are its pages: the fields that `payload` hands on, the relations that `add_…` makes, and the natural keys.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader

from tests import CHECKOUT
from tests.debian import Unavailable
from tests.environments import Environment

AWXKIT = Environment("awxkit", ("awxkit==24.6.1", "setuptools<81"), ("python3.13", "python3.12", "python3.11"))
RECORD = Path(__file__).parent / "unit" / "deploy" / "awxkit.json"
FOLDER = CHECKOUT / "deploy" / "awx"
#: Which page each kind of our data becomes.
PAGES = {
    "controller_credential_types": "CredentialType",
    "controller_credentials": "Credential",
    "controller_execution_environments": "ExecutionEnvironment",
    "controller_projects": "Project",
    "controller_inventories": "Inventory",
    "controller_hosts": "Host",
    "controller_groups": "Group",
    "controller_workflows": "WorkflowJobTemplate",
    "controller_templates": "JobTemplate",
    "simplified_workflow_nodes": "WorkflowJobTemplateNode",
}
#: Run by its Python: the fields of each page that it hands on or has a method for, out of those that are asked, and its natural key.
CODE = """
import json, sys
from types import SimpleNamespace
from awxkit.api import pages

class Page(SimpleNamespace):
    id, kind, namespace, managed, name = 7, "cloud", None, False, "x"

def known(name, fields, relations):
    cls = getattr(pages, name)
    page = cls(object(), json={})
    given = {field: Page() if field in relations else [] if field == "inputs" else "x" for field in fields}
    made = page.payload(**given)
    added = {f"{method[4:]}s" for method in dir(cls) if method.startswith("add_")} | {
        method[4:] + "_spec" for method in dir(cls) if method == "add_survey"}
    return {"fields": sorted(field for field in fields if field in made or field in added), "natural_key": list(cls.NATURAL_KEY)}

asked = json.load(sys.stdin)
print(json.dumps({name: known(name, fields, asked["relations"]) for name, fields in asked["pages"].items()}))
"""
RELATIONS = (
    "organization", "inventory", "project", "execution_environment", "credential_type", "unified_job_template",
    "workflow_job_template",
)  # fmt: skip


def data() -> dict[str, list[dict[str, Any]]]:
    """The entries of both files by kind, the nodes of workflows as a kind of their own."""
    loader = DataLoader()
    found = {
        **loader.load_from_file(str(FOLDER / "controller.yml")),
        **loader.load_from_file(str(FOLDER / "job_templates.yml")),
    }
    nodes = [
        {**node, "workflow_job_template": each["name"]}
        for each in found["controller_workflows"]
        for node in each["simplified_workflow_nodes"]
    ]
    workflows = [
        {name: value for name, value in each.items() if name != "simplified_workflow_nodes"}
        for each in found["controller_workflows"]
    ]
    return {**found, "controller_workflows": workflows, "simplified_workflow_nodes": nodes}


def used() -> dict[str, set[str]]:
    """The fields of each page that our data have."""
    return {PAGES[kind]: {field for entry in entries for field in entry} for kind, entries in data().items()}


def known() -> dict[str, Any]:
    """What awxkit knows of them; raises Unavailable."""
    AWXKIT.make_ready()
    asked = {"relations": RELATIONS, "pages": {name: sorted(fields) for name, fields in used().items()}}
    done = subprocess.run(
        [AWXKIT.python, "-c", CODE], input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def main(words: list[str]) -> int:
    """Return 1 where what it knows is not what is on record."""
    try:
        found = {"made_with": AWXKIT.packages[0], "pages": known()}
    except Unavailable as problem:
        print(problem, file=sys.stderr)
        return 1
    if words == ["--write"]:
        RECORD.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    elif found != json.loads(RECORD.read_text(encoding="utf-8")):
        print(f"{RECORD.relative_to(CHECKOUT)} is not what {AWXKIT.packages[0]} knows: {json.dumps(found)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
