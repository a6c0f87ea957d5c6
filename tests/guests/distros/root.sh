#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Prints the path of a root folder with Debian 13 and libcamera from its backports, and makes it
# first if it is not in the cache (about 90 s). The folder is named after everything that its
# contents depend on, so a change of this file makes a new one. Two runs at a time: the second waits.
# Needs root, mmdebstrap and a Debian host, whose own mirror is used.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/guests/lib.sh
. "$here/../lib.sh"

suite=trixie
# What `make run` installs there, and what the tests and the guests need besides.
mapfile -t packages < <(make -s --no-print-directory -C "$here/../../.." list-deps FOR="run unit")
[ ${#packages[@]} -gt 10 ] || die "make list-deps failed"
packages+=(
	libcamera-tools debhelper systemd-dev ffmpeg procps
	qemu-system-x86 qemu-system-arm # for all guests: Debian 12's takes a fifth more of a processor
)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/camcast-distros
key=$(cat "${BASH_SOURCE[0]}" <(dpkg --print-architecture; echo "${packages[@]}") | sha256sum | cut -c1-12)
root=$cache/$suite-$key

[ "$(id -u)" = 0 ] || die "must run as root, to make and to enter a root folder"
mkdir -p "$cache"
exec 9>"$root.lock"
flock 9
if [ ! -e "$root/.complete" ]; then
	command -v mmdebstrap >/dev/null || die "mmdebstrap is missing: apt-get install mmdebstrap"
	mirror=$(debian_mirror)
	remove_root "$root"
	# libcamera is the one package from backports; its `virtual` camera needs no hardware. The
	# headers of the version in main, 0.4, are put aside for the wrapper to be compiled against.
	# shellcheck disable=SC2016 # $1 is for mmdebstrap's shell
	mmdebstrap --quiet --variant=minbase --mode=root \
		--aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io \
		--setup-hook='mkdir -p "$1/etc/apt/preferences.d"' \
		--setup-hook='printf "Package: src:libcamera\nPin: release n=trixie-backports\nPin-Priority: 990\n" >"$1/etc/apt/preferences.d/libcamera"' \
		--customize-hook='mkdir "$1/src" "$1/build"' \
		--customize-hook='cd "$1/tmp" && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -qq download libcamera-dev/'$suite \
		--customize-hook='dpkg -x "$1"/tmp/libcamera-dev_*.deb "$1/opt/libcamera-main" && rm "$1"/tmp/libcamera-dev_*.deb' \
		--include="$(IFS=, && echo "${packages[*]}")" \
		"$suite" "$root" "deb $mirror $suite main" "deb $mirror $suite-backports main" >&2 ||
		die "mmdebstrap failed"
	touch "$root/.complete"
fi
echo "$root"
