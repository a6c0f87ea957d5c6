#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Prints the path of an amd64 Debian 12 root with a cross compiler and arm64's libraries, and makes it
# first if it is not in the cache (75 s). The folder is named after what its contents depend on. Two
# runs at a time: the second waits. Needs root and mmdebstrap.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/guests/lib.sh
. "$here/../lib.sh"

suite=bookworm
libraries=(
	libc6-dev pkgconf libcamera-dev liburing-dev libcjson-dev libsystemd-dev
	libavformat-dev libavcodec-dev libswscale-dev libavutil-dev libopenh264-dev libjpeg62-turbo-dev
	libmosquitto-dev libssl-dev libsdl2-dev libsdl2-ttf-dev libfontconfig-dev libcmocka-dev
	libharfbuzz-dev libfribidi-dev libseccomp-dev
)
# What runs while building.
tools=(
	gcc libc6-dev make pkgconf gcc-aarch64-linux-gnu g++-aarch64-linux-gnu
	debhelper dpkg-dev fakeroot systemd udev
)

[ "$(id -u)" = 0 ] || die "must run as root, to make a root folder"
[ "$(dpkg --print-architecture)" = amd64 ] || die "the cross compiler is an amd64 program"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/camcast-arm64
folder=$cache/cross-$(sha256sum "${BASH_SOURCE[0]}" | cut -c1-12)
mkdir -p "$cache"
exec 9>"$folder.lock"
flock 9
if [ ! -e "$folder/.complete" ]; then
	command -v mmdebstrap >/dev/null || die "mmdebstrap is missing: apt-get install mmdebstrap"
	mirror=$(debian_mirror)
	remove_root "$folder"
	packages=("${tools[@]}" "${libraries[@]/%/:arm64}")
	mmdebstrap --quiet --variant=minbase --mode=root --architectures=amd64,arm64 \
		--aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io \
		--customize-hook='mkdir "$1/src" "$1/build"' \
		--include="$(IFS=, && echo "${packages[*]}")" \
		"$suite" "$folder" "deb $mirror $suite main" >&2 || die "mmdebstrap failed"
	touch "$folder/.complete"
fi
echo "$folder"
