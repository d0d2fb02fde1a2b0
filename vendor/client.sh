#!/bin/bash
# Makes build/gen/client/files.S of the bundles in socket.io-client's npm package, for http/client_files: client.sh
# Without the package, or npm to fetch it, the table in that file is empty and one line says so.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cache=${SKUA_CACHE:-$root/build}
out=$root/build/gen/client
names="socket.io.js socket.io.min.js socket.io.msgpack.min.js socket.io.esm.min.js"
read -r _ version _ _ _ package want < <(grep '^socket.io-client ' "$root/vendor/lock")

say()
{
    echo "vendor: socket.io-client: $*; the binary is built without its files (serve_client)" >&2
}

intact()
{
    [ -f "$1" ] && [ "$(sha256sum "$1" | cut -d' ' -f1)" = "$want" ]
}

# Puts the package into the cache, or says why not.
obtain()
{
    local part
    ! intact "$cache/sources/$package" || return 0
    mkdir -p "$cache/sources"
    if [ -n "${SKUA_SOURCES:-}" ]; then
        intact "$SKUA_SOURCES/$package" || {
            say "SKUA_SOURCES has no $package as in vendor/lock"
            return 1
        }
        cp "$SKUA_SOURCES/$package" "$cache/sources/$package"
        return
    fi
    command -v npm >/dev/null || {
        say "there is no npm to fetch it"
        return 1
    }
    part=$(mktemp -d "$cache/sources/npm.XXXXXX")
    if ! npm pack "socket.io-client@$version" --pack-destination "$part" --fetch-retries=0 --fetch-timeout=20000 \
        --update-notifier=false >"$cache/sources/npm.log" 2>&1 </dev/null; then
        say "npm could not fetch it ($(grep -m1 -o 'code E.*' "$cache/sources/npm.log" || echo 'no reason given'))"
        rm -rf "$part"
        return 1
    fi
    if ! intact "$part/$package"; then
        say "npm brought another file than the one in vendor/lock"
        rm -rf "$part"
        return 1
    fi
    mv "$part/$package" "$cache/sources/$package"
    rm -rf "$part" "$cache/sources/npm.log"
}

# The table: struct client_file's fields in their order.
assembly()
{
    local name number=0 files=$1
    echo '.section .rodata'
    echo '.globl client_files_version'
    echo '.hidden client_files_version'
    echo "client_files_version: .asciz \"$2\""
    for name in $files; do
        number=$((number + 1))
        echo ".Lname$number: .asciz \"$name\""
        echo ".Lbytes$number: .incbin \"build/gen/client/$name.gz\""
        echo ".Lend$number:"
    done
    echo '.section .data.rel.ro,"aw"'
    echo '.balign 8'
    echo '.globl client_files'
    echo '.hidden client_files'
    echo 'client_files:'
    number=0
    for name in $files; do
        number=$((number + 1))
        echo ".quad .Lname$number, .Lbytes$number, .Lend$number - .Lbytes$number, $(stat -c %s "package/dist/$name")"
    done
    echo '.quad 0, 0, 0, 0'
    echo '.section .note.GNU-stack,"",%progbits'
}

stamp="$want $(sha256sum "$root/vendor/client.sh" | cut -d' ' -f1)"
[ "$(cat "$out/stamp" 2>/dev/null)" != "$stamp" ] || exit 0
mkdir -p "$out"
exec 9>"$out/lock"
flock 9
cd "$out"
if ! obtain; then
    [ -f files.S ] || assembly '' '' >files.S
    exit 0
fi
tar xzf "$cache/sources/$package"
files=
for name in $names; do
    files="$files $name $name.map"
done
for name in $files; do
    gzip -9nc "package/dist/$name" >"$name.gz"
done
assembly "$files" "$version" >files.S.new
rm -rf package
mv files.S.new files.S
echo "$stamp" >stamp
