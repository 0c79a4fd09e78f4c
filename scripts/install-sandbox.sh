#!/usr/bin/env bash
# Installs bubblewrap, in which the sandbox runs code, and what goes with it, where they are missing. Says nothing if
# all are there. For Debian and its like; needs root or sudo only if something is missing.
set -euo pipefail

declare -A package=([bwrap]=bubblewrap [setpriv]=util-linux [prlimit]=util-linux)

missing=()
for program in "${!package[@]}"; do
    PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin command -v "$program" >/dev/null || missing+=("${package[$program]}")
done
[ "${#missing[@]}" -gt 0 ] || exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort --unique)

command -v apt-get >/dev/null || {
    echo "install-sandbox: install these yourself, this system has no apt-get: ${missing[*]}" >&2
    exit 1
}
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
        echo "install-sandbox: run this as root, there is no sudo: apt-get install ${missing[*]}" >&2
        exit 1
    }
    as_root=(sudo)
fi
quietly() {
    local said
    said=$("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "$@" 2>&1 </dev/null) || {
        printf '%s\n' "$said" >&2
        echo "install-sandbox: '$*' failed, see above" >&2
        exit 1
    }
}
quietly apt-get --quiet --option DPkg::Lock::Timeout=300 update
quietly apt-get --quiet --yes --no-install-recommends --option DPkg::Lock::Timeout=300 install "${missing[@]}"
