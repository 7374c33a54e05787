#!/usr/bin/env bash
# Deploys a release of Scout, and rolls it back automatically if the pipeline fails with it. See docs/deploy-pipeline.md.
#
#   look → capture → way back → migrate → deploy → gate → notify
#                                  └────────┴───────┴─ failed: rollback → gate again → notify
#
#   scripts/ci/deploy_release.sh --from v5.2.1 --to v5.3.0 --commit 3f2a9c1e --application app \
#       --migrate 'app/ops/migrate' --deploy 'app/ops/deploy production' --notify 'app/ops/notify'
#
#   --from NAME          the release that runs now: what is captured, and rolled back to
#   --to NAME            the release that is deployed
#   --commit ID          the commit of the application that runs now
#   --application DIR    a clone of the application with its whole history; without it the application is not rolled back
#   --migrate, --deploy, --notify 'PROGRAM WORD …'
#                        your programs; arguments are separated by blanks, and no shell reads them
#   --artifacts DIR      where results and screens go (deploy-artifacts)
#   --variables FILE     variables for all playbooks, as JSON or YAML
#   --inventory FILE     another inventory than that of one database
#   --step-seconds N     how long each of your programs may take (1800)
#   --although-failing   deploy although the gate does not pass beforehand, and roll back without it; so does gate=false
#                        in the variables
#   --check              dry run: only check and plan the capture; writes nothing to the database
#   --rollback           only roll back to --from, and notify
#   --if-interrupted     with --rollback: only if the deployment recorded in the artifacts folder began and never ended
#
# 0   deployed and accepted (--check: nothing prevents it; --if-interrupted: there was nothing to do)
# 60  not begun: nothing was changed
# 61  rolled back: the pipeline is as it was before
# 62  the rollback failed, or the gate does not pass after it: a person is needed
# 63  interrupted half way, and not rolled back: run it with --rollback
#
# The database is the one SCOUT_DSN, PGURI or libpq's own environment names; no secret is an argument of any process.
set -euo pipefail

readonly NOT_BEGUN=60 ROLLED_BACK=61 ROLLBACK_FAILED=62 INTERRUPTED=63 KILLED=137

say() { printf 'deploy_release: %s\n' "$*"; }
refuse() {
    say "$*" >&2
    exit "$NOT_BEGUN"
}

source=${BASH_SOURCE[0]}
while [ -L "$source" ]; do
    target=$(readlink "$source")
    case $target in
        /*) source=$target ;;
        *) source=$(dirname "$source")/$target ;;
    esac
done
root=$(CDPATH='' cd -- "$(dirname -- "$source")/../.." && pwd -P) || refuse "cannot find the checkout of this script"
[ -f "$root/playbooks/rollback.yml" ] || refuse "$root holds no playbooks/rollback.yml"

from='' to='' commit='' application='' migrate='' deploy='' notify='' variables='' if_interrupted='' although_failing=''
artifacts=deploy-artifacts inventory=$root/inventories/local/hosts.yml step_seconds=1800 mode=deploy
while [ $# -gt 0 ]; do
    case $1 in
        --from | --to | --commit | --application | --migrate | --deploy | --notify | --artifacts | --variables | --inventory | \
            --step-seconds)
            [ $# -ge 2 ] || refuse "$1 wants a value"
            name=${1#--}
            printf -v "${name//-/_}" '%s' "$2"
            shift 2
            ;;
        --check | --rollback)
            mode=${1#--}
            shift
            ;;
        --if-interrupted)
            if_interrupted=yes
            shift
            ;;
        --although-failing)
            although_failing=yes
            shift
            ;;
        *) refuse "unknown option $1" ;;
    esac
done
[ -n "$from" ] || refuse "name the release that runs now: --from v5.2.1"
case $mode in
    rollback) ;;
    *)
        [ -n "$to" ] || refuse "name the release to deploy: --to v5.3.0"
        [ -n "$migrate$deploy" ] || [ "$mode" = check ] || refuse "there is nothing to deploy: give --migrate or --deploy"
        [ -z "$application" ] || [ -n "$commit" ] ||
            refuse "name the commit of the application that runs now, to be able to restore it: --commit ID"
        ;;
esac
# Whoever may push a tag writes these names, and they reach playbooks, screens and programs.
for name in from to; do
    [[ ${!name} =~ ^([A-Za-z0-9][A-Za-z0-9._+/-]{0,99})?$ ]] ||
        refuse "--$name $(printf '%q' "${!name:0:100}") is not usable: use 1 to 100 letters, digits and . _ + / - (for example v5.2.1)"
done
[[ $commit =~ ^([0-9a-fA-F]{7,64})?$ ]] || refuse "--commit $(printf '%q' "${commit:0:100}") is not the id of a commit"
[ -z "$if_interrupted" ] || [ "$mode" = rollback ] || refuse "--if-interrupted goes with --rollback"
case $step_seconds in
    '' | *[!0-9]* | 0*) refuse "--step-seconds $step_seconds is not a whole number of seconds" ;;
esac

absolute() { # KIND PATH: the path from the root; it has to be there
    local path=$2
    case $path in
        /*) ;;
        *) path=$PWD/$path ;;
    esac
    [ -e "$path" ] || refuse "$1 $2 is not there"
    printf '%s\n' "$path"
}
[ -z "$variables" ] || variables=$(absolute --variables "$variables")
[ -z "$application" ] || application=$(absolute --application "$application")
inventory=$(absolute --inventory "$inventory")

if [ -e "$root/.venv" ]; then
    tools=$root/.venv/bin
else
    tools=$(dirname -- "$(command -v ansible-playbook || true)")
fi
[ -x "$tools/ansible-playbook" ] || refuse "there is no ansible-playbook: run scripts/setup in $root"
python=$tools/python3
[ -x "$python" ] || python=$(command -v python3 || true)
"$python" -c '' 2>/dev/null || refuse "there is no Python that runs: run scripts/setup in $root"

# Others than the owner have no business with what a step said; and whoever else may write here could have this script write
# elsewhere, by a link, or end what is none of its steps.
me=$(id -u)
while [ "${artifacts%/}" != "$artifacts" ] && [ "$artifacts" != / ]; do artifacts=${artifacts%/}; done
[ ! -L "$artifacts" ] || [ -z "$(find "$artifacts" -maxdepth 0 ! -user "$me")" ] ||
    refuse "$artifacts is a link that somebody else has made: name the folder itself, or another one"
(umask 077 && mkdir -p -- "$artifacts") || refuse "cannot make the folder $artifacts"
artifacts=$(CDPATH='' cd -- "$artifacts" && pwd -P)
[ -z "$(find "$artifacts" -maxdepth 0 ! -user "$me")" ] ||
    refuse "$artifacts belongs to somebody else: name another folder, or make this one yours: chown $me $(printf '%q' "$artifacts")"
[ -z "$(find "$artifacts" -maxdepth 0 -perm /022)" ] ||
    refuse "others may write to $artifacts, and could have this script write elsewhere: chmod go-w $(printf '%q' "$artifacts")"
strange=$(find "$artifacts" -mindepth 1 \( -type l -o ! -user "$me" \) -print -quit 2>/dev/null) || true
# Where others cannot enter the folder, the rights of its files are nothing to them.
[ -n "$strange" ] || [ -z "$(find "$artifacts" -maxdepth 0 -perm /011)" ] ||
    strange=$(find "$artifacts" -mindepth 1 -perm /022 -print -quit 2>/dev/null) || true
[ -z "$strange" ] ||
    refuse "$(printf '%q' "$strange") is a link, somebody else's, or may be written by others: remove it, or name an empty folder"
export SCOUT_EVIDENCE=${SCOUT_EVIDENCE:-$artifacts/evidence} PYTHONUNBUFFERED=1
export DEPLOY_FROM=$from DEPLOY_TO=$to DEPLOY_COMMIT=$commit DEPLOY_APPLICATION=$application
export DEPLOY_RESULT=$artifacts/deploy-result.json
DEPLOY_MIGRATES=${migrate:+yes}
[ "$mode" != check ] || DEPLOY_MIGRATES=yes
export DEPLOY_MIGRATES
# By this in its environment a step is known from what got its number later, and from what somebody else calls a step.
DEPLOY_ID=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
export DEPLOY_ID
work=$(mktemp -d) || refuse "cannot make a temporary folder"
trap 'rm -rf -- "$work"' EXIT

helper() { "$python" -I "$root/scripts/ci/deploy_result.py" "$@"; }

# One word for the rollback's own gate and for those around it.
if [ -n "$variables" ] && helper ungated "$variables"; then
    although_failing=yes
fi
export DEPLOY_ALTHOUGH_FAILING=$although_failing

# What was killed may have left its step at work: a migration would go on changing what is being taken back.
left=$(helper at_work "$artifacts")
case $'\n'$left in
    *$'\n'script*)
        [ -n "$if_interrupted" ] ||
            refuse "another deployment is still running in $artifacts: wait for it to finish, or stop it"
        say "waiting for the deployment that is still running in $artifacts"
        helper wait "$artifacts" script
        left=$(helper at_work "$artifacts")
        ;;
esac
if [ -n "$if_interrupted" ] && ! helper unsettled "$artifacts"; then
    say "no interrupted deployment is recorded in $artifacts: nothing to do"
    exit 0
fi
if [ -n "$left" ]; then
    [ "$mode" = rollback ] ||
        refuse "a deployment was killed in $artifacts, and its step $left is still running: run it with --rollback"
    helper end "$artifacts"
fi
if [ -z "$if_interrupted" ]; then
    # What another run left must not stand for this one.
    for step in look capture plan_rollback migrate deploy gate rollback gate_again notify; do
        rm -f -- "$artifacts/$step.json" "$artifacts/$step.log"
    done
    rm -f -- "$artifacts/steps.tsv" "$artifacts/at-work.tsv" "$DEPLOY_RESULT"
fi
(umask 077 && touch -- "$artifacts/steps.tsv" "$artifacts/at-work.tsv")

# NAME PID: notes a process with the time at which it was born and what it has in its environment.
note() {
    local stat words=()
    stat=$(cat "/proc/$2/stat" 2>/dev/null) || return 0
    read -r -a words <<<"${stat##*) }"
    printf '%s\t%s\t%s\t%s\n' "$1" "$2" "${words[19]}" "$DEPLOY_ID" >>"$artifacts/at-work.tsv"
}
note script "$$"

child='' current='' stopped=''
# Whoever stops this stops the step, but a rollback is let come to its end: a person would have to run it again.
end_step() {
    case $current in
        rollback | gate_again) ;;
        # It ends what it started itself, in an order that lets it cancel what the server does.
        migrate | deploy | notify) [ -z "$child" ] || kill -TERM "$child" 2>/dev/null || true ;;
        *) [ -z "$child" ] || kill -TERM -- "-$child" 2>/dev/null || true ;;
    esac
}
# shellcheck disable=SC2317,SC2329 # the traps call it
stop() {
    stopped=$1
    say "asked to stop ($1)" >&2
    end_step
}
trap 'stop INT' INT
trap 'stop TERM' TERM
trap 'stop HUP' HUP
trap : USR1

now() {
    local at=${EPOCHREALTIME:-$(date +%s)}
    printf '%s' "${at/,/.}"
}

# Whether the step is a plan, which writes nothing, no result either, and it was made for at least one database.
planned() {
    [ "$current" = plan_rollback ] || [ "$mode $current" = 'check capture' ] || return 1
    grep -q 'ok=[1-9]' -- "$artifacts/$current.log"
}

# NAME SECONDS PROGRAM WORD…: runs a step in a process group of its own, with its screen in NAME.log; the exit code is in `code`.
step() {
    local tee_pid tries=50 seconds=$2
    current=$1
    shift 2
    printf '\n== %s\n' "$current"
    printf '%s\tbegun\t%s\n' "$current" "$(now)" >>"$artifacts/steps.tsv"
    helper write "$artifacts" running ''
    rm -f -- "$work/screen" "$work/code"
    mkfifo "$work/screen"
    # Both ends are opened here, where none waits for the other: a step that is stopped at once never opens its own.
    exec 9<>"$work/screen"
    exec 8<"$work/screen"
    exec 7>"$work/screen" 9>&-
    (
        trap '' INT TERM HUP
        umask 077
        exec tee -- "$artifacts/$current.log" <&8 7>&-
    ) &
    tee_pid=$!
    set -m
    "$python" -I "$root/scripts/ci/deploy_result.py" step "$work/code" "$seconds" "$@" </dev/null >&7 2>&1 7>&- 8<&- &
    child=$!
    set +m
    note "$current" "$child"
    exec 7>&- 8<&-
    [ -z "$stopped" ] || end_step
    # A signal ends the waiting, not the step. Bash may keep one that comes with another to itself until a third comes, and meanwhile
    # takes it for the end of whatever it waits for: so the step leaves its exit code in a file.
    while kill -0 "$child" 2>/dev/null; do
        wait "$child" || { kill -USR1 "$$" && sleep 0.05; } || true
    done
    code=$(cat -- "$work/code" 2>/dev/null) || code=$KILLED
    child=''
    # Something a step left running may hold its screen open.
    while [ "$tries" -gt 0 ] && kill -0 "$tee_pid" 2>/dev/null; do
        tries=$((tries - 1))
        sleep 0.1
    done
    case $current in
        migrate | deploy | notify) ;;
        *)
            if [ "$code" -eq 0 ] && ! helper settled "$artifacts/$current.json" && ! planned; then
                say "$current exited with 0 but left no result" >&2
                code=1
            fi
            ;;
    esac
    printf '%s\tended\t%s\t%s\n' "$current" "$(now)" "$code" >>"$artifacts/steps.tsv"
}

# NAME PLAYBOOK [WORD…]: a playbook, with its result in NAME.json.
play() {
    local name=$1 playbook=$2
    shift 2
    rm -f -- "$artifacts/$name.json"
    helper variables "$name" "$artifacts/$name.json" "$work"
    step "$name" 0 env -u ANSIBLE_COLLECTIONS_PATH -u ANSIBLE_INVENTORY -u PYTHONPATH -u PYTHONDONTWRITEBYTECODE \
        PATH="$tools:$PATH" ANSIBLE_CONFIG="$root/ansible.cfg" \
        "$tools/ansible-playbook" -i "$inventory" "$root/playbooks/$playbook.yml" -e "@$work/default.json" \
        ${variables:+-e "@$variables"} -e "@$work/own.json" "$@"
}

# NAME 'PROGRAM WORD …': a program of the team's.
program() {
    local words
    read -r -a words <<<"$2"
    step "$1" "$step_seconds" "${words[@]}"
}

finish() { # OUTCOME CODE
    export DEPLOY_OUTCOME=$1 DEPLOY_EXIT_CODE=$2
    helper write "$artifacts" "$1" "$2"
    if [ -n "$notify" ] && [ "$mode" != check ]; then
        # Whoever asked to stop has been heard; those who are to know are still told.
        stopped=''
        program notify "$notify"
        [ "$code" -eq 0 ] || say "could not notify: it exited with $code" >&2
        helper write "$artifacts" "$1" "$2"
    fi
    printf '\n'
    helper tell "$artifacts"
    exit "$2"
}

# After a step that changes nothing: on, or out.
proceed() {
    if [ "$code" -ne 0 ] || [ -n "$stopped" ]; then
        finish not_begun "$NOT_BEGUN"
    fi
}

go_back() {
    stopped=''
    play rollback rollback
    [ "$code" -eq 0 ] || finish rollback_failed "$ROLLBACK_FAILED"
    # Where there was nothing to take back, it was not the release that the gate failed for.
    if [ -z "$although_failing" ]; then
        stopped=''
        play gate_again acceptance_gate
        [ "$code" -eq 0 ] || finish still_failing "$ROLLBACK_FAILED"
    fi
    finish rolled_back "$ROLLED_BACK"
}

# After a step that changes something: on, back, or out.
weigh() {
    [ -z "$stopped" ] || finish interrupted "$INTERRUPTED"
    [ "$code" -eq 0 ] || go_back
}

[ "$mode" != rollback ] || go_back

if [ -z "$although_failing" ]; then
    play look acceptance_gate
    proceed
fi
if [ "$mode" = check ]; then
    play capture capture_release --check
    proceed
    finish checked 0
fi
play capture capture_release
proceed
# Nothing is begun that could not be taken back: privileges, the clone and the CLI are looked at by planning it.
play plan_rollback rollback --check
proceed
if [ -n "$migrate" ]; then
    program migrate "$migrate"
    weigh
fi
if [ -n "$deploy" ]; then
    program deploy "$deploy"
    weigh
fi
play gate acceptance_gate
weigh
finish deployed 0
