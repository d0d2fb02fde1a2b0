#!/bin/bash
# The one entry: see usage below. Everything made goes to build/, which is ignored.
set -euo pipefail
start=$PWD
[ -z "${SKUA_SOURCES:-}" ] || SKUA_SOURCES=$(realpath -m "$SKUA_SOURCES")
[ -z "${SKUA_CACHE:-}" ] || SKUA_CACHE=$(realpath -m "$SKUA_CACHE")
cd "$(dirname "$0")"
jobs=$(nproc)
mkdir -p build

usage()
{
    cat <<'END'
./build.sh COMMAND
  build                   build/skua, the static binary
  run [APP.lua] [ARGS]    build it and run APP.lua (lua/examples/relay.lua)
  test [LAYER] [NAME]     build and run the tests; LAYER is lint, unit, protocol, e2e, cluster or
                          fuzz, NAME a part of a file's name
  asan                    build/skua-asan, under AddressSanitizer and UBSan
  fuzz [NAME|all SECONDS] run a fuzzer of tests/fuzz, or all, that long; alone: list them
  lint                    check format and run clang-tidy and shellcheck
  format                  format the C files
  clean [all]             remove what was built; with "all" the libraries and downloads too
Environment: SKUA_SOURCES=FOLDER takes the sources of the libraries from FOLDER instead of a Debian mirror;
SKUA_CACHE=FOLDER keeps downloads and built libraries in FOLDER instead of build/.
END
}

fail()
{
    echo "build.sh: $*" >&2
    exit 1
}

# Makes sure that commands and files are there: need THING=DEBIAN-PACKAGE..., where THING is a command's name or an
# absolute path. As root on Debian the missing packages are installed.
need()
{
    local pair thing missing=()
    for pair in "$@"; do
        thing=${pair%%=*}
        case $thing in
        /*) [ -e "$thing" ] || missing+=("${pair#*=}") ;;
        *) command -v "$thing" >/dev/null || missing+=("${pair#*=}") ;;
        esac
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
    command -v apt-get >/dev/null ||
        fail "missing tools, by the names of their Debian packages: ${missing[*]}. Install them and try again."
    [ "$(id -u)" = 0 ] || fail "missing packages. Run this as root, then try again: apt-get install ${missing[*]}"
    echo "build.sh: installing ${missing[*]}" >&2
    install_packages "${missing[@]}" || {
        tail -5 build/apt.log >&2
        fail "apt-get could not install ${missing[*]}: is there a network? Its output is in build/apt.log."
    }
}

install_packages()
{
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qy)
    "${apt[@]}" install --no-install-recommends "$@" >build/apt.log 2>&1 </dev/null && return
    # no or old package lists
    "${apt[@]}" update >build/apt.log 2>&1 </dev/null &&
        "${apt[@]}" install --no-install-recommends "$@" >>build/apt.log 2>&1 </dev/null
}

need_compiler()
{
    need gcc=gcc make=make cmake=cmake patch=patch xz=xz-utils flock=util-linux /usr/include/stdio.h=libc6-dev "$@"
}

# make, one at a time in this folder: two builds at once would write the same objects
run_make()
{
    flock build/lock make --no-print-directory -f src/skua.mk -j "$jobs" "$@"
}

build()
{
    need_compiler musl-gcc=musl-tools
    vendor/deps.sh musl
    run_make FLAVOUR=musl skua
}

build_asan()
{
    need_compiler
    vendor/deps.sh host
    run_make FLAVOUR=asan "$@"
}

# Debian's clang has libFuzzer in a package of its own.
build_fuzzers()
{
    need_compiler clang-14=clang-14
    need "$(clang-14 -print-resource-dir)/lib/linux/libclang_rt.fuzzer-$(uname -m).a=libclang-rt-14-dev"
    vendor/deps.sh host
    run_make FLAVOUR=fuzz "$@"
}

fuzzer_names()
{
    find tests/fuzz -maxdepth 1 -name 'fuzz_*.c' -printf '%f\n' | sed 's/^fuzz_//; s/\.c$//' | LC_ALL=C sort
}

# run_fuzzers SECONDS NAME..., as many at a time as there are processors
run_fuzzers()
{
    local seconds=$1
    shift
    printf '%s\n' "$@" | xargs -P "$jobs" -I{} tests/fuzz/run.sh {} "$seconds"
}

fuzz()
{
    local names=("$1") seconds=$2
    [[ $seconds =~ ^[0-9]+$ ]] || fail "not a number of seconds: $seconds"
    [ "$1" != all ] || mapfile -t names < <(fuzzer_names)
    [ "$1" = all ] || [ -f "tests/fuzz/fuzz_$1.c" ] || fail "no fuzzer $1; there are: $(fuzzer_names | xargs)"
    build_fuzzers "${names[@]/#/build/tests/fuzz/fuzz_}"
    run_fuzzers "$seconds" "${names[@]}"
}

need_node()
{
    need node=nodejs npm=npm
    [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 18 ] ||
        fail "$(command -v node) is $(node --version), the tests need 18 or newer: put a newer one first in PATH."
}

lint_tools()
{
    need clang-format=clang-format clang-tidy=clang-tidy shellcheck=shellcheck
}

c_files()
{
    find src tests -path tests/node_modules -prune -o -name '*.[ch]' -print0
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
build) build ;;
run)
    build
    app=lua/examples/relay.lua
    case ${1:-} in
    *.lua)
        app=$(cd "$start" && realpath "$1")
        shift
        ;;
    esac
    exec build/skua run "$app" "$@"
    ;;
test)
    # shellcheck source=tests/run.sh
    . tests/run.sh
    run_tests "$@"
    ;;
asan) build_asan skua ;;
fuzz)
    case $# in
    0) fuzzer_names ;;
    2) fuzz "$@" ;;
    *)
        usage >&2
        exit 2
        ;;
    esac
    ;;
lint)
    # shellcheck source=tests/run.sh
    . tests/run.sh
    run_tests lint
    ;;
format)
    need clang-format=clang-format
    c_files | xargs -0 clang-format -i
    ;;
clean)
    rm -rf build/skua* build/obj build/gen build/tests build/fuzz build/tidy build/work build/*.log
    [ "${1:-}" != all ] || rm -rf build/deps build/sources
    ;;
help | -h | --help) usage ;;
*)
    usage >&2
    exit 2
    ;;
esac
