# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What deploy/awx gives to AWX: fields that its modules know, names that exist, and questions that the playbooks understand."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
from ansible.parsing.dataloader import DataLoader

from ansible_collections.scout.recovery.plugins.plugin_utils import extra_vars
from tests import CHECKOUT, awxkit

FOLDER = CHECKOUT / "deploy" / "awx"
TEXT, YES_OR_NO, NAMES = (
    {"type": "string", "minLength": 1},
    {"type": "boolean"},
    {"type": "array", "items": {"type": "string"}},
)


def fields(needed: list[str], /, **known: Any) -> dict[str, Any]:
    """An object of these fields, and of no other."""
    return {"type": "object", "properties": known, "required": needed, "additionalProperties": False}


def listed(needed: list[str], /, **known: Any) -> dict[str, Any]:
    """A list of such objects."""
    return {"type": "array", "minItems": 1, "items": fields(needed, **known)}


QUESTION = fields(
    ["question_name", "question_description", "required", "type", "variable"],
    question_name=TEXT, question_description=TEXT, required=YES_OR_NO, variable=TEXT, default=TEXT,
    type={"enum": ["text", "textarea", "password", "integer", "float", "multiplechoice", "multiselect"]},
    min={"type": "integer"}, max={"type": "integer", "maximum": 4096}, choices={**NAMES, "minItems": 2},
)  # fmt: skip
SURVEY = {
    "anyOf": [
        fields(["name", "description", "spec"], name=TEXT, description=TEXT, spec={"type": "array", "items": QUESTION}),
        {"type": "object", "maxProperties": 0},
    ]
}
#: Of the options that the modules of awx.awx document, those that are used, with their types.
MODULES = {
    "controller_credential_types": listed(
        ["name", "kind", "inputs", "injectors"], name=TEXT, description=TEXT, kind={"enum": ["cloud", "net"]},
        inputs=fields(["fields"], fields=listed(
            ["id", "label", "type"], id=TEXT, label=TEXT, type={"enum": ["string", "boolean"]}, secret=YES_OR_NO, help_text=TEXT,
        ), required=NAMES),
        injectors=fields([], env={"type": "object"}, extra_vars={"type": "object"}, file={"type": "object"}),
    ),
    "controller_credentials": listed(
        ["name", "organization", "credential_type"],
        name=TEXT, organization=TEXT, credential_type=TEXT, inputs={"type": "object"},
    ),
    "controller_execution_environments": listed(["name", "image"], name=TEXT, image=TEXT, description=TEXT),
    "controller_projects": listed(
        ["name", "organization", "scm_type"],
        name=TEXT, organization=TEXT, scm_type={"enum": ["git"]}, scm_url=TEXT, scm_branch=TEXT,
    ),
    "controller_inventories": listed(["name", "organization"], name=TEXT, organization=TEXT),
    "controller_hosts": listed(["name", "inventory"], name=TEXT, inventory=TEXT, variables={"type": "object"}),
    "controller_groups": listed(["name", "inventory"], name=TEXT, inventory=TEXT, hosts=NAMES),
    "controller_workflows": listed(
        ["name", "organization", "simplified_workflow_nodes"],
        name=TEXT, description=TEXT, organization=TEXT, allow_simultaneous=YES_OR_NO, survey_enabled=YES_OR_NO,
        survey_spec=SURVEY, simplified_workflow_nodes=listed(
            ["identifier", "unified_job_template"], identifier=TEXT, unified_job_template=TEXT, extra_data={"type": "object"},
            success_nodes=NAMES, failure_nodes=NAMES, always_nodes=NAMES,
        ),
    ),
    "controller_templates": listed(
        ["name", "project", "playbook", "inventory"],
        name=TEXT, description=TEXT, job_type={"enum": ["run", "check"]}, organization=TEXT, inventory=TEXT, project=TEXT,
        execution_environment=TEXT, playbook=TEXT, credentials=NAMES, ask_job_type_on_launch=YES_OR_NO,
        ask_variables_on_launch=YES_OR_NO, ask_limit_on_launch=YES_OR_NO, allow_simultaneous=YES_OR_NO,
        survey_enabled=YES_OR_NO, survey_spec=SURVEY,
    ),
}  # fmt: skip

#: Public variables of the roles of scout.drills, which the other collection does not know.
OF_DRILLS = {
    name
    for path in (CHECKOUT / "drills" / "roles").glob("*/defaults/main.yml")
    for name in re.findall(r"'scout\.recovery\.setting', '(\w+)'", path.read_text(encoding="utf-8"))
}


@pytest.fixture(scope="module")
def controller() -> dict[str, Any]:
    """Both files as Ansible reads them."""
    loader = DataLoader()
    return {
        **loader.load_from_file(str(FOLDER / "controller.yml")),
        **loader.load_from_file(str(FOLDER / "job_templates.yml")),
    }


def test_every_field_is_one_that_a_module_of_awx_knows(controller: dict[str, Any]) -> None:
    jsonschema.validate(controller, fields(list(MODULES), **MODULES))


def test_the_schema_tells() -> None:
    wrong = [{"name": "x", "project": "x", "playbook": "x", "inventory": "x", "survey": {}}]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, MODULES["controller_templates"])


def test_awxs_own_client_hands_on_every_field(subtests: pytest.Subtests) -> None:
    """As it did when it was asked last, which `make awxkit` does again: what it does not know it leaves out in silence."""
    pages = json.loads(awxkit.RECORD.read_text(encoding="utf-8"))["pages"]
    used = awxkit.used()
    assert pages.keys() == used.keys()
    for kind, entries in awxkit.data().items():
        page = awxkit.PAGES[kind]
        with subtests.test(msg=page):
            fields, key = pages[page]["fields"], pages[page]["natural_key"]
            assert used[page] <= {*fields, *key}
            found = [[entry[name] for name in key] for entry in entries]
            assert all(found), "it finds each again by its natural key"
            assert len({json.dumps(each) for each in found}) == len(found)


def test_what_is_named_is_there(controller: dict[str, Any]) -> None:
    names = {kind: {each["name"] for each in entries} for kind, entries in controller.items()}
    for template in controller["controller_templates"]:
        assert (CHECKOUT / template["playbook"]).is_file()
        assert template["project"] in names["controller_projects"]
        assert template["inventory"] in names["controller_inventories"]
        assert template["execution_environment"] in names["controller_execution_environments"]
        assert set(template["credentials"]) <= names["controller_credentials"]
    for workflow in controller["controller_workflows"]:
        nodes = {node["identifier"]: node for node in workflow["simplified_workflow_nodes"]}
        reached = {
            name
            for node in nodes.values()
            for kind in ("success_nodes", "failure_nodes", "always_nodes")
            for name in node.get(kind, [])
        }
        assert nodes.keys() - reached == {workflow["simplified_workflow_nodes"][0]["identifier"]}
        assert reached <= nodes.keys()
        assert {node["unified_job_template"] for node in nodes.values()} <= names["controller_templates"]


def test_every_question_is_a_variable_that_is_understood(controller: dict[str, Any]) -> None:
    for each in [*controller["controller_templates"], *controller["controller_workflows"]]:
        asked = [question["variable"] for question in each["survey_spec"].get("spec", [])]
        assert len(set(asked)) == len(asked)
        drill = each.get("playbook", "").endswith(("drill.yml", "gameday.yml"))
        assert drill or extra_vars.check(asked) == [], each["name"]
        assert not drill or set(asked) <= OF_DRILLS
        assert not [name for name in asked if "token" in name or "password" in name]


def test_a_job_is_given_the_database_and_the_password_by_its_environment(controller: dict[str, Any]) -> None:
    [kind] = controller["controller_credential_types"]
    assert kind["injectors"] == {
        "env": {
            "SCOUT_DSN": "{{ dsn }}",
            "PGPASSWORD": "{{ password | default('') }}",
            "SCOUT_EVIDENCE_URL": "{{ evidence_url | default('') }}",
            "SCOUT_EVIDENCE_TOKEN": "{{ evidence_token | default('') }}",
        }
    }
    assert {field["id"] for field in kind["inputs"]["fields"] if field.get("secret")} == {"password", "evidence_token"}


def test_every_playbook_has_a_template(controller: dict[str, Any]) -> None:
    """Those of drills are given no database; where evidence goes is asked of nobody who may only launch."""
    made = {each["playbook"]: each for each in controller["controller_templates"]}
    assert made.keys() == {f"playbooks/{path.name}" for path in (CHECKOUT / "playbooks").glob("*.yml")}
    assert {name for name, each in made.items() if not each["credentials"]} == {
        "playbooks/drill.yml",
        "playbooks/gameday.yml",
    }
    asked = {name: {each["variable"] for each in made[name]["survey_spec"].get("spec", [])} for name in made}
    assert {"evidence_full", "window_start"} <= asked["playbooks/evidence.yml"]
    assert {"evidence_dir", "evidence_last_manifest"} <= asked["playbooks/evidence_verify.yml"]
    assert "scenario" in asked["playbooks/drill.yml"]
    assert not set().union(*asked.values()) & {"evidence_url", "sandbox_dsn", "schema_from", "scout_cron_dsn"}
