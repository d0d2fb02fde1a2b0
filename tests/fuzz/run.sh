#!/bin/bash
# Runs one fuzzer for a while: run.sh NAME SECONDS. Prints one line, and of a fuzzer that found something its report.
# What it learns stays in build/fuzz/NAME/corpus for the next run; an input that crashes is put beside that.
set -euo pipefail
cd "$(dirname "$0")/../.."
name=$1
seconds=$2
work=build/fuzz/$name
log=$work/log
seeds=()
for folder in "tests/fuzz/corpus/$name" $([ "$name" != config ] || echo tests/config/wrong lua); do
    [ ! -d "$folder" ] || seeds+=("$folder")
done
mkdir -p "$work/corpus"

# The numbers behind libFuzzer's "stat::NAME: ".
number()
{
    sed -n "s/^stat::$1: *\([0-9]*\)$/\1/p" "$log"
}

status=0
UBSAN_OPTIONS=print_stacktrace=1 "build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=25 \
    -rss_limit_mb=1500 -print_final_stats=1 -artifact_prefix="$work/" "$work/corpus" "${seeds[@]}" \
    >"$log" 2>&1 </dev/null || status=$?
counts="$(number number_of_executed_units) executions, $(number average_exec_per_sec) a second"
if [ $status -eq 0 ]; then
    echo "ok      fuzz/$name ($counts)"
else
    grep -v '^#[0-9]' "$log" | tail -n 60
    echo "FAILED  fuzz/$name ($counts, exit status $status); the whole report is in $log"
    exit 1
fi
