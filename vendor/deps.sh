#!/bin/bash
# Builds the libraries of vendor/lock once: deps.sh FLAVOUR
#   musl  for the binary: static, position independent
#   host  for tests under sanitizers: the machine's own compiler and libc
# The result is CACHE/deps/FLAVOUR-HASH/{lib,include}, where HASH covers everything that it was made from, and
# build/deps/FLAVOUR points to it. CACHE is $SKUA_CACHE, or build.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
flavour=$1
cache=${SKUA_CACHE:-$root/build}
libraries="lua5.4 libwebsockets hiredis jsmn bearssl http-parser zlib"

case $flavour in
musl)
    CC=musl-gcc
    libraries="$libraries mimalloc"
    ;;
host) CC=gcc ;;
*)
    echo "vendor: no such flavour: $flavour (musl or host)" >&2
    exit 1
    ;;
esac
AR=gcc-ar
JOBS=$(nproc)

inputs()
{
    cat "$root"/vendor/lock "$root"/vendor/deps.sh "$root"/vendor/recipes/*.sh
    find "$root/vendor/patches" -name '*.patch' 2>/dev/null | LC_ALL=C sort | xargs -r cat
    $CC -dumpfullversion
}

hash=$(inputs | sha256sum | cut -c1-12)
PREFIX=$cache/deps/$flavour-$hash

# For recipes: compiles the named files and makes lib/NAME.a of them: archive NAME FLAGS... -- FILES...
archive()
{
    local name=$1 flags=()
    shift
    while [ "$1" != -- ]; do
        flags+=("$1")
        shift
    done
    shift
    mkdir -p objects
    # shellcheck disable=SC2016 # for the inner shell
    printf '%s\n' "$@" | xargs -P "$JOBS" -I{} sh -c 'object=objects/$(echo "$1" | tr / _).o; shift; "$@" -o "$object"' \
        _ {} "$CC" "${CFLAGS[@]}" "${flags[@]}" -c {}
    rm -f "$name.a"
    "$AR" rcsD "$name.a" objects/*.o
    install -m 644 "$name.a" "$PREFIX/lib/"
}

# For recipes: headers "$@" go to include/FOLDER.
headers()
{
    local to=$PREFIX/include/$1
    shift
    mkdir -p "$to"
    install -m 644 "$@" "$to/"
}

unpack()
{
    local library=$1 orig=$2 patches=${3:-} patch
    rm -rf "$work"
    mkdir -p "$work/source"
    tar xf "$cache/sources/$orig" -C "$work/source" --strip-components=1
    cd "$work/source"
    if [ -n "$patches" ]; then
        tar xf "$cache/sources/$patches" -C "$work" debian/patches
        grep -v -e '^#' -e '^$' "$work/debian/patches/series" | while read -r patch _; do
            patch -p1 -s -i "$work/debian/patches/$patch"
        done
    fi
    for patch in "$root/vendor/patches/$library"/*.patch; do
        [ ! -f "$patch" ] || patch -p1 -s -i "$patch"
    done
}

build()
{
    local library=$1 work=$cache/work/$flavour-$1 log=$cache/work/$flavour-$1.log files status
    files=$("$root/vendor/fetch.sh" "$library" "$cache/sources") || exit 1
    # shellcheck disable=SC2086 # one word a file
    echo "vendor: $flavour:" $library ${files//.tar.?z/} >&2
    set +e # an "if" around the subshell would switch -e off inside it
    (
        set -e
        # shellcheck disable=SC2086
        unpack "$library" $files
        CFLAGS=(-O2 -g -fPIE -fno-plt "-ffile-prefix-map=$work/source=$library")
        # shellcheck source=/dev/null
        . "$root/vendor/recipes/$library.sh"
    ) >"$log" 2>&1
    status=$?
    set -e
    if [ $status -ne 0 ]; then
        tail -20 "$log" >&2
        echo "vendor: $library did not build; all of its output is in $log" >&2
        exit 1
    fi
    rm -rf "$work"
}

# musl-gcc sees no kernel headers; these are the machine's, to be searched last.
kernel_headers()
{
    local folder from
    mkdir -p "$PREFIX/kernel"
    for folder in linux asm-generic asm; do
        from=/usr/include/$folder
        [ -d "$from" ] || from=/usr/include/$(gcc -dumpmachine)/$folder
        ln -sfn "$from" "$PREFIX/kernel/$folder"
    done
}

final=$PREFIX
mkdir -p "$cache/deps" "$cache/work" "$root/build/deps"
exec 9>"$cache/deps/lock"
flock 9
if [ ! -d "$final" ]; then
    # complete or not there at all: renamed into place at the end
    PREFIX=$cache/work/$flavour-result
    rm -rf "$PREFIX"
    mkdir -p "$PREFIX/lib" "$PREFIX/include"
    kernel_headers
    for library in $libraries; do # all before the first compiler runs: what is missing shows at once
        "$root/vendor/fetch.sh" "$library" "$cache/sources" >/dev/null
    done
    for library in $libraries; do
        build "$library"
    done
    mv "$PREFIX" "$final"
fi
[ "$(readlink "$root/build/deps/$flavour")" = "$final" ] || ln -sfn "$final" "$root/build/deps/$flavour"
"$root/vendor/client.sh"
