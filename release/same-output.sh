#!/usr/bin/env bash
# same-output.sh PROGRAM OTHER [ARGUMENT...]
# Whether another build of the program, started by the command OTHER with its arguments, prints the same of every recorded
# machine in fixtures/: tables, maps, JSON, messages and exit codes.
set -euo pipefail
# shellcheck source=release/common.sh
. "$(dirname "$0")/common.sh"

[ $# -ge 2 ] || fail "two arguments are needed: same-output.sh PROGRAM OTHER [ARGUMENT...]"
one=("$1")
other=("${@:2}")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# print NAME COMMAND...: what a command prints, and its exit code.
print() {
    local code=0
    "${@:2}" >"$folder/$1" 2>&1 || code=$?
    printf 'exit code %s\n' "$code" >>"$folder/$1"
}

count=0
for fixture in "$(dirname "$0")"/../fixtures/*.tar.gz; do
    for options in "" "--json" "topology --json"; do
        read -ra words <<<"$options"
        print one "${one[@]}" "${words[@]}" --snapshot "$fixture"
        print other "${other[@]}" "${words[@]}" --snapshot "$fixture"
        diff "$folder/one" "$folder/other" >&2 ||
            fail "${other[*]} prints something else of $(basename "$fixture") with the options '$options'"
        # A program that does not start prints the same each time.
        grep -q '^exit code [013]$' "$folder/one" || fail "$1 does not run: $(head -n 1 "$folder/one")"
        count=$((count + 1))
    done
done
[ "$count" -gt 0 ] || fail "there is no recorded machine in fixtures/"
printf 'the same output, %s times: %s\n' "$count" "${other[*]}"
