# shellcheck shell=bash
# The layers of ./build.sh test, read by build.sh: run_tests [LAYER] [NAME]
# Each layer prints its own results and adds to two counters; the last line of the run is "N passed, N failed".

passed=0
failed=0
results=build/tests
node_time_limit=1200 # seconds a layer of node tests may take in all
unit_time_limit=300  # seconds a unit test binary may take
fuzz_seconds=8       # each fuzzer; CI has more time
[ -z "${CI:-}" ] || fuzz_seconds=60

# one result that is not counted by a framework: verdict WHAT STATUS
verdict()
{
    if [ "$2" -eq 0 ]; then
        passed=$((passed + 1))
        echo "ok      $1"
    else
        failed=$((failed + 1))
        echo "FAILED  $1"
    fi
}

# Runs a command of build.sh in a subshell, where its "exit" and "set -e" cannot end the run.
attempt()
{
    local status
    set +e
    (
        set -e
        "$@"
    )
    status=$?
    set -e
    return $status
}

# --- lint ----------------------------------------------------------------------------------------

lint_format()
{
    c_files | xargs -0 clang-format --dry-run -Werror
}

lint_scripts()
{
    find . \( -name node_modules -o -path ./build \) -prune -o \( -name '*.sh' -o -path ./.ci/run \) -print0 |
        xargs -0 shellcheck -x
}

lint_tidy()
{
    build_asan --keep-going tidy
}

layer_lint()
{
    local status=0
    attempt lint_tools || {
        verdict "lint: tools" 1
        return
    }
    attempt lint_format || status=$?
    verdict "lint: format (./build.sh format mends it)" $status
    status=0
    attempt lint_scripts || status=$?
    verdict "lint: shellcheck" $status
    status=0
    attempt lint_tidy || status=$?
    verdict "lint: clang-tidy" $status
}

# --- unit ----------------------------------------------------------------------------------------

build_units()
{
    need_compiler /usr/include/cmocka.h=libcmocka-dev openssl=openssl redis-server=redis-server
    build_asan --keep-going "$@"
}

# One binary: its passed tests are counted by cmocka's lines. One that crashes, or a group that does not come up, has no
# line for that and counts as one failure.
run_unit()
{
    local binary=$1 name log status=0 ok bad
    name=unit/$(basename "$binary")
    log=$results/$(basename "$binary").log
    ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1 \
        timeout "$unit_time_limit" "$binary" >"$log" 2>&1 </dev/null || status=$?
    ok=$(grep -c '^\[       OK \]' "$log" || true)
    bad=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) test(s), listed below:$/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
    [ $status -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
    [ $status -ne 0 ] || [ "$((ok + bad))" -gt 0 ] || {
        echo "no test ran" >>"$log"
        bad=1
    }
    passed=$((passed + ok))
    failed=$((failed + bad))
    if [ "$bad" -eq 0 ]; then
        echo "ok      $name ($ok)"
    else
        cat "$log"
        echo "FAILED  $name ($bad of $((ok + bad)), exit status $status)"
    fi
}

layer_unit()
{
    local source binary targets=() how=()
    for source in tests/unit/test_*"$1"*.c; do
        [ ! -f "$source" ] || targets+=("build/${source%.c}")
    done
    [ ${#targets[@]} -gt 0 ] || return 0
    if ! attempt build_units objects; then
        verdict "unit: src/ compiles (tests that do not need the broken files still run)" 1
        how=(PARTIAL=1)
    fi
    attempt build_units "${how[@]}" "${targets[@]}" || true
    for binary in "${targets[@]}"; do
        if [ -x "$binary" ]; then
            run_unit "$binary"
        else
            verdict "unit/$(basename "$binary") (does not build)" 1
        fi
    done
}

# --- node: protocol, e2e and cluster -------------------------------------------------------------

install_node_modules()
{
    local want
    want=$(sha256sum tests/package-lock.json)
    [ "$(cat tests/node_modules/.installed 2>/dev/null)" != "$want" ] || return 0
    (cd tests && npm ci --no-audit --no-fund --loglevel=error </dev/null) ||
        fail "npm ci in tests/ failed: is the package registry reachable?"
    mkdir -p tests/node_modules # which npm does not make when there is nothing to install
    echo "$want" >tests/node_modules/.installed
}

prepare_node()
{
    need_node
    [ "$1" != cluster ] || need redis-server=redis-server openssl=openssl
    build
    [ ! -f tests/package.json ] || install_node_modules
}

# Tests of a browser say themselves that there is none: whoever is not root can do without.
prepare_browser()
{
    attempt need "${CHROMIUM:-/usr/bin/chromium}=chromium" || echo "no Chromium: the tests of a browser are skipped" >&2
}

layer_node()
{
    local layer=$1 tap=$results/$1.tap status=0 ok bad files=()
    mapfile -t files < <(find tests -path "tests/$layer/*$2*.test.mjs" | LC_ALL=C sort)
    [ ${#files[@]} -gt 0 ] || return 0
    attempt prepare_node "$layer" || {
        verdict "$layer (not run: no binary or no node packages, see above)" 1
        return
    }
    [[ ${files[*]} != */browser.test.mjs* ]] || prepare_browser
    rm -f "$tap"
    SKUA_BIN=$PWD/build/skua timeout "$node_time_limit" node --test \
        --test-reporter=spec --test-reporter-destination=stdout \
        --test-reporter=tap --test-reporter-destination="$tap" "${files[@]}" </dev/null || status=$?
    ok=$(summary pass "$tap")
    bad=$(($(summary fail "$tap") + $(summary cancelled "$tap")))
    # ended without a summary (out of time, killed), or in a way that no test shows
    [ $status -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
    passed=$((passed + ok))
    failed=$((failed + bad))
    if [ "$bad" -eq 0 ]; then
        echo "ok      $layer ($ok)"
    else
        echo "FAILED  $layer ($bad of $((ok + bad)), exit status $status)"
    fi
}

# a number of the last lines of node's report: summary pass FILE
summary()
{
    local count
    count=$(sed -n "s/^# $1 \([0-9]*\)$/\1/p" "$2" 2>/dev/null | tail -1)
    echo "${count:-0}"
}

# --- fuzz ----------------------------------------------------------------------------------------

layer_fuzz()
{
    local names log=$results/fuzz.log ok
    mapfile -t names < <(fuzzer_names | grep -F "$1")
    [ ${#names[@]} -gt 0 ] || return 0
    attempt build_fuzzers "${names[@]/#/build/tests/fuzz/fuzz_}" || {
        verdict "fuzz (does not build)" 1
        return
    }
    run_fuzzers "$fuzz_seconds" "${names[@]}" | tee "$log" || true
    ok=$(grep -c '^ok      fuzz/' "$log" || true)
    passed=$((passed + ok))
    failed=$((failed + ${#names[@]} - ok))
}

# -------------------------------------------------------------------------------------------------

run_tests()
{
    local layers="lint unit protocol e2e cluster fuzz" layer name
    case ${1:-} in
    lint | unit | protocol | e2e | cluster | fuzz)
        layers=$1
        shift
        ;;
    esac
    name=${1:-}
    mkdir -p "$results"
    # a name is that of a file with tests
    [ -z "$name" ] || layers=${layers#lint }
    for layer in $layers; do
        echo "== $layer"
        case $layer in
        lint) layer_lint ;;
        unit) layer_unit "$name" ;;
        fuzz) layer_fuzz "$name" ;;
        *) layer_node "$layer" "$name" ;;
        esac
    done
    [ $((passed + failed)) -gt 0 ] || echo "no test matches ${name:-anything}" >&2
    echo "$passed passed, $failed failed"
    [ $failed -eq 0 ] && [ $passed -gt 0 ]
}
