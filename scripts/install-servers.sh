#!/usr/bin/env bash
# Installs the programs that some tests talk to, where they are missing: Prometheus and promtool. Says nothing if all
# are there. For Debian and its like; needs root or sudo only if something is missing.
set -euo pipefail

declare -A package=([prometheus]=prometheus [promtool]=prometheus)

missing=()
for program in "${!package[@]}"; do
    command -v "$program" >/dev/null || missing+=("${package[$program]}")
done
[ "${#missing[@]}" -gt 0 ] || exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort --unique)

command -v apt-get >/dev/null || {
    echo "install-servers: install these yourself, this system has no apt-get: ${missing[*]}" >&2
    exit 1
}
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
        echo "install-servers: run this as root, there is no sudo: apt-get install ${missing[*]}" >&2
        exit 1
    }
    as_root=(sudo)
fi
quietly() {
    local said
    said=$("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "$@" 2>&1 </dev/null) || {
        printf '%s\n' "$said" >&2
        echo "install-servers: '$*' failed, see above" >&2
        exit 1
    }
}
quietly apt-get --quiet --option DPkg::Lock::Timeout=300 update
quietly apt-get --quiet --yes --no-install-recommends --option DPkg::Lock::Timeout=300 install "${missing[@]}"

# Debian starts what it installs. The tests start their own, on ports of their own.
for name in "${missing[@]}"; do
    if [ -d /run/systemd/system ]; then
        "${as_root[@]}" systemctl --quiet disable --now "$name" 2>/dev/null || true
    elif [ -x "/etc/init.d/$name" ]; then
        "${as_root[@]}" "/etc/init.d/$name" stop >/dev/null 2>&1 || true
    fi
done
