#!/bin/bash
# Brings one library's files into a folder, each checked against vendor/lock: fetch.sh LIBRARY FOLDER
# Prints the names of the files to use, upstream's first, then Debian's patches if the lock has any.
# Files come from the folder $SKUA_SOURCES if that is set, else from the Debian mirror that this machine's apt is
# configured with. The hash decides, so a mirror needs no trust.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
library=$1 folder=$2
helper=/usr/lib/apt/apt-helper

fail()
{
    echo "vendor: $*" >&2
    exit 1
}

hash_of()
{
    sha256sum "$1" | cut -d' ' -f1
}

# Base addresses of the configured Debian mirrors, those of security updates or the others.
# A machine without any "-security" suite gets none of the first kind.
mirrors()
{
    local debian='^(bullseye|bookworm|trixie|forky|sid|oldstable|stable|testing|unstable)'
    # shellcheck disable=SC2016 # apt's own variables
    apt-get indextargets --no-release-info --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        sed 's/ file:/ copy:/; s,/$,,' | grep -E "$debian" |
        if [ "$1" = security ]; then grep -E -e '^[a-z]+(-security|/updates) '; else grep -vE -e '^[a-z]+(-security|/updates) '; fi |
        cut -d' ' -f2- | sort -u
}

# Sets $reason on failure.
from_folder()
{
    local file=$1 want=$2
    if [ ! -f "$SKUA_SOURCES/$file" ]; then
        reason="$file is not in SKUA_SOURCES=$SKUA_SOURCES: put it there (vendor/lock says where Debian has it)"
        return 1
    fi
    [ "$(hash_of "$SKUA_SOURCES/$file")" = "$want" ] ||
        fail "$SKUA_SOURCES/$file has the wrong SHA-256 ($(hash_of "$SKUA_SOURCES/$file"), vendor/lock wants $want): replace the file"
    cp "$SKUA_SOURCES/$file" "$folder/$file"
}

from_mirror()
{
    local suite=$1 path=$2 file=$3 want=$4 kind=main mirror found
    case $suite in *-security) kind=security ;; esac
    if [ ! -x "$helper" ]; then
        reason="$file has to be downloaded, and this is no Debian machine: put the files of vendor/lock in a folder and set SKUA_SOURCES to it"
        return 1
    fi
    reason="$file: no Debian mirror is configured in this machine's apt sources: add one, or set SKUA_SOURCES to a folder with the files of vendor/lock"
    for mirror in $(mirrors $kind); do
        rm -f "$folder/$file.part"
        if ! "$helper" -q -o APT::Sandbox::User=root -o Acquire::Retries=2 download-file \
            "$mirror/pool/$path/$file" "$folder/$file.part" >"$folder/$file.log" 2>&1; then
            if grep -q ' 404 ' "$folder/$file.log"; then
                reason="$file is no longer at $mirror: update vendor/lock, or set SKUA_SOURCES to a folder that has it"
            else
                reason="$file could not be downloaded from $mirror ($(grep -m1 '^E:' "$folder/$file.log" | sed 's/.*  //')): is there a network? Without one, set SKUA_SOURCES to a folder with the files of vendor/lock"
            fi
            continue
        fi
        found=$(hash_of "$folder/$file.part")
        if [ "$found" != "$want" ]; then
            rm -f "$folder/$file.part"
            fail "$file from $mirror has the wrong SHA-256 ($found, vendor/lock wants $want): try again, or set SKUA_SOURCES to a folder with the right file"
        fi
        mv "$folder/$file.part" "$folder/$file"
        rm -f "$folder/$file.log"
        return 0
    done
    return 1
}

# One file: kept from an earlier run, from the user's folder, or from the mirror.
obtain()
{
    local suite=$1 path=$2 file=$3 want=$4
    if [ -f "$folder/$file" ]; then
        [ "$(hash_of "$folder/$file")" != "$want" ] || return 0
        rm -f "$folder/$file"
    fi
    if [ -n "${SKUA_SOURCES:-}" ]; then
        from_folder "$file" "$want"
    else
        from_mirror "$suite" "$path" "$file" "$want"
    fi
}

mkdir -p "$folder"
for wanted in orig patches; do
    listed=no got='' reason='' first_reason=''
    while read -r name _ kind suite path file want; do
        [ "$name $kind" = "$library $wanted" ] || continue
        listed=yes
        if obtain "$suite" "$path" "$file" "$want"; then
            got=$file
            break
        fi
        : "${first_reason:=$reason}"
    done <"$here/lock"
    if [ -n "$got" ]; then
        echo "$got"
    elif [ $listed = yes ]; then
        # with a network every alternative was a 404; the last line names the mirror that everybody has
        fail "${reason:-$first_reason}"
    elif [ $wanted = orig ]; then
        fail "$library is not in vendor/lock"
    fi
done
