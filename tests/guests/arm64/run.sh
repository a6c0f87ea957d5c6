#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The project for arm64, cross-built on an amd64 machine with Debian 12's compiler and libraries.
#
#   run.sh build       builds the programs, the unit tests and what they run
#   run.sh folder      prints the folder in which build has put them
#   run.sh deb FOLDER  builds the Debian package into FOLDER
#
# Builds are kept in the cache, one for each checkout. Needs root and what root.sh needs.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(cd "$here/../../.." && pwd)
# shellcheck source=tests/guests/lib.sh
. "$checkout/tests/guests/lib.sh"
cross=$("$here/root.sh")
build=$(build_folder "$cross" "$checkout")

# Becomes the command, in the cross root. One build of a checkout at a time.
enter() {
	exec 9>"$build.lock"
	flock 9
	enter_root "$cross" "$checkout" "$build" "$@"
}

case ${1:-} in
build)
	enter make -C /src B=/build -j"$(nproc)" CC=aarch64-linux-gnu-gcc \
		CXX=aarch64-linux-gnu-g++ AR=aarch64-linux-gnu-ar CC_FOR_BUILD=gcc \
		PKG_CONFIG=aarch64-linux-gnu-pkg-config all unit-programs
	;;
folder)
	echo "$build"
	;;
deb)
	version=$(sed -n 's/^VERSION := //p' "$checkout/Makefile")
	enter -b "$2:/tmp/deb" env AR=aarch64-linux-gnu-ar CC_FOR_BUILD=gcc ARCH=arm64 \
		/src/src/system/deb.sh "$version" /tmp/deb /build/deb
	;;
*)
	sed -n '3,/^set/p' "${BASH_SOURCE[0]}" | sed '$d; s/^# \{0,1\}//' >&2
	exit 2
	;;
esac
