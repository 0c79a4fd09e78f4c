#!/bin/sh
# Install Debian's Chromium, in which the page is tested, unless it is there. Says nothing if all is well.
set -eu

command -v chromium >/dev/null 2>&1 && exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "install-browser: there is no chromium, and no apt-get to install it with: install Chromium by hand" >&2
    exit 1
fi

as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true >/dev/null 2>&1; then
        echo "install-browser: there is no chromium, and installing it needs root: sudo apt-get install chromium" >&2
        exit 1
    fi
    as_root="sudo -n"
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
if ! { $as_root apt-get update && $as_root apt-get install --yes --no-install-recommends chromium; } >"$log" 2>&1; then
    cat "$log" >&2
    echo "install-browser: chromium could not be installed" >&2
    exit 1
fi
