#!/usr/bin/env bash
# Replaces the acceptance gate script of Scout v5.2, for pipelines that call it: same environment variable, same
# exit codes, and it can return 0. The gate itself is playbooks/acceptance_gate.yml; see docs/acceptance-gate.md.
#
#   PGURI=postgresql://… scripts/ci/accept_streaming_gate.sh [more arguments for ansible-playbook, such as -e scout_smoke=true]
#
# 0   it passes
# 42  linking        43  mathematics of silver    44  stuck locks or sessions    45  freshness
# 46  any other check fails or warns              47  it could not be told       48  ingestion is paused, or drains a backlog
# 49  the gate could not be run: no PGURI, no connection, a bad option
# 50  this checkout is not set up: no ansible-playbook or no Python
#
# SCOUT_GATE_RESULT=FILE keeps the result as JSON. PGURI is never an argument of any process.
set -uo pipefail

give_up() {
    printf 'accept_streaming_gate: %s\n' "$2" >&2
    exit "$1"
}

source=${BASH_SOURCE[0]}
while [ -L "$source" ]; do
    target=$(readlink "$source") || give_up 50 "cannot follow the link $source"
    case $target in
        /*) source=$target ;;
        *) source=$(dirname "$source")/$target ;;
    esac
done
root=$(CDPATH='' cd -- "$(dirname -- "$source")/../.." && pwd -P) || give_up 50 "cannot find the checkout of this script"
[ -f "$root/playbooks/acceptance_gate.yml" ] || give_up 50 "$root holds no playbooks/acceptance_gate.yml"
[ -n "${PGURI:-}" ] || give_up 49 "PGURI is not set; it names the database, as postgresql://user@host:5432/scout"

if [ -e "$root/.venv" ]; then
    tools=$root/.venv/bin
    python=$tools/python3
else
    tools=$(dirname -- "$(command -v ansible-playbook)")
    python=$(command -v python3)
fi
[ -x "$tools/ansible-playbook" ] || give_up 50 "there is no ansible-playbook: run scripts/setup in $root"
"$python" -c '' 2>/dev/null || give_up 50 "there is no Python that runs: run scripts/setup in $root"

work=$(mktemp -d) || give_up 49 "cannot make a temporary folder"
trap 'rm -rf -- "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
result=${SCOUT_GATE_RESULT:-$work/result.json}
case $result in
    /*) ;;
    *) result=$PWD/$result ;;
esac
# A result of another run must not stand for this one.
rm -f -- "$result" || give_up 49 "cannot replace $result"
RESULT=$result "$python" -c 'import json, os; print(json.dumps({"scout_result_file": os.environ["RESULT"]}))' >"$work/variables.json" ||
    give_up 49 "cannot write to $work"

# What else could name a database, an inventory or another collection, or have it compile everything anew, is left out.
env -u SCOUT_DSN -u ANSIBLE_INVENTORY -u ANSIBLE_COLLECTIONS_PATH -u PYTHONDONTWRITEBYTECODE -u PYTHONPATH \
    PATH="$tools:$PATH" ANSIBLE_CONFIG="$root/ansible.cfg" \
    "$tools/ansible-playbook" -i "$root/inventories/local/hosts.yml" "$root/playbooks/acceptance_gate.yml" "$@" \
    -e "@$work/variables.json" </dev/null
played=$?
case $played in
    126 | 127) give_up 50 "$tools/ansible-playbook does not run: run scripts/setup in $root" ;;
esac

# The worst of all databases: one, unless the inventory was given as well.
code=$("$python" - "$result" <<'PYTHON'
import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    results = json.load(file)["results"]
gates = [result["gate"] if not result["error"] else None for result in results]
if not gates or not all(gates):
    raise SystemExit("the gate reached no verdict")
codes = [0 if result["ok"] and gate["ok"] else gate["exit_code"] or 49 for result, gate in zip(results, gates)]
print(min([code for code in codes if code], default=0))
PYTHON
) || give_up 49 "the gate reached no verdict (ansible-playbook ended with $played)"
case $code in
    0) [ "$played" -eq 0 ] || give_up 49 "the gate passes, but ansible-playbook ended with $played" ;;
    4[2-9]) [ "$played" -ne 0 ] || give_up 49 "the gate does not pass, but ansible-playbook ended with 0" ;;
    *) give_up 49 "the gate gave the unknown code $code" ;;
esac
exit "$code"
