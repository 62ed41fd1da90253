#!/bin/sh
# packages.sh [--tests] - install the Debian 12 packages that building ileanet needs and this machine lacks; with
# --tests also those of the tests. Does nothing, and asks for no right, where all are there.
set -u

packages='gcc libc6-dev cmake ninja-build pkg-config libsodium-dev libzmq3-dev liblmdb-dev libmsgpack-dev
libjansson-dev libinih-dev libutf8proc-dev libseccomp-dev uuid-dev zlib1g-dev'
if [ "${1:-}" = --tests ]; then
    packages="$packages g++ clang libcmocka-dev lmdb-utils python3 groff-base"
fi

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo 'packages.sh: not a Debian system; hoping that these are there:' "$packages" >&2
    exit 0
fi
missing=
for package in $packages; do
    # pkg-config is a name that pkgconf provides where it has taken over.
    case $package in pkg-config) command -v pkg-config >/dev/null 2>&1 && continue ;; esac
    case $(dpkg-query -W -f='${Status}' "$package" 2>/dev/null) in
        *' installed') ;;
        *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "packages.sh: missing, and there is no sudo; as root: apt-get install$missing" >&2
        exit 1
    fi
    as_root=sudo
fi
echo "Installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
install() {
    # shellcheck disable=SC2086 # a list of words
    $as_root apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends $missing </dev/null >/dev/null
}
# Without package lists the first try fails; an old list may name what is gone.
install 2>/dev/null || { $as_root apt-get -qq update </dev/null >/dev/null && install; } || {
    echo "packages.sh: could not install$missing" >&2
    exit 1
}
