#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The project for arm64, cross-built on an amd64 machine with Debian 12's compiler and libraries.
#
#   run.sh build       builds the programs, the unit tests and what they run
#   run.sh deb FOLDER  builds the Debian package into FOLDER
#
# Builds are kept in the cache, one for each checkout. Needs root and what root.sh needs.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(cd "$here/../.." && pwd)
cross=$("$here/root.sh")
build=$cross.build-$(printf '%s' "$checkout" | sha256sum | cut -c1-12)
mkdir -p "$build"

# Runs a command in the cross root: the checkout is /src (read-only), what was built is /build. $1 is
# a folder of this machine that is /mnt there.
enter() {
	# shellcheck disable=SC2016 # what expands, expands in there
	unshare --mount --propagation private bash -euc '
		root=$1 checkout=$2 build=$3 folder=$4
		shift 4
		mount --rbind /dev "$root/dev"
		mount --rbind /proc "$root/proc"
		mount -t tmpfs tmpfs "$root/tmp"
		mount --bind "$checkout" "$root/src"
		mount -o remount,bind,ro "$root/src"
		mount --bind "$build" "$root/build"
		mount --bind "$folder" "$root/mnt"
		cd /
		exec chroot "$root" "$@"' enter "$cross" "$checkout" "$build" "$@"
}

case ${1:-} in
build)
	(
		flock 9
		enter "$here" make -C /src B=/build -j"$(nproc)" CC=aarch64-linux-gnu-gcc \
			CXX=aarch64-linux-gnu-g++ AR=aarch64-linux-gnu-ar CC_FOR_BUILD=gcc \
			PKG_CONFIG=aarch64-linux-gnu-pkg-config all unit-programs
	) 9>"$build.lock"
	;;
deb)
	version=$(sed -n 's/^VERSION := //p' "$checkout/Makefile")
	(
		flock 9
		enter "$2" env AR=aarch64-linux-gnu-ar CC_FOR_BUILD=gcc ARCH=arm64 \
			/src/src/system/deb.sh "$version" /mnt /build/deb
	) 9>"$build.lock"
	;;
*)
	sed -n '3,/^set/p' "${BASH_SOURCE[0]}" | sed '$d; s/^# \{0,1\}//' >&2
	exit 2
	;;
esac
