#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The project on Debian 13 with libcamera 0.7, in a root folder that root.sh makes and caches.
#
#   run.sh                                  builds, compiles the wrapper for 0.4, and runs the unit tests,
#                                           tests/e2e/test_libcamera.py, and `make run` with a player
#   run.sh build                            builds only
#   run.sh deb FOLDER                       builds the Debian package into FOLDER
#   run.sh exec [-b DIR:TARGET]... COMMAND  runs a command there, as this process
#
# In there the checkout is /src (read-only), what was built is /build, and nothing else of the root
# folder can be written but /tmp; `-b` shows a folder of this machine at TARGET, which exists or is
# below /tmp. Mounts are in a namespace of their own and go with the process. The network is this
# machine's. Builds are kept in the cache, one for each checkout. Needs root.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(cd "$here/../../.." && pwd)
# shellcheck source=tests/guests/lib.sh
. "$checkout/tests/guests/lib.sh"
root=$("$here/root.sh")
build=$(build_folder "$root" "$checkout")
cd "$checkout"

# Becomes the command, in the root folder.
enter() {
	enter_root "$root" "$checkout" "$build" "$@"
}

# One build of a checkout at a time.
build_all() {
	(
		flock 9
		(enter make -C /src B=/build -j"$(nproc)" "$@")
		(enter cc -D_GNU_SOURCE -shared -fPIC -O2 -o /build/udmabuf_shim.so /src/tests/support/udmabuf_shim.c)
	) 9>"$build.lock"
}

# Runs a command that ends with "N passed, N failed", and adds that to $passed and $failed.
passed=0 failed=0
count_step() {
	local log=$build/step.log
	("$@") 2>&1 | tee "$log" || true
	if [[ $(tail -n 1 "$log") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
		passed=$((passed + BASH_REMATCH[1]))
		failed=$((failed + BASH_REMATCH[2]))
	else
		failed=$((failed + 1))
	fi
}

case ${1:-all} in
build)
	build_all all unit-programs
	;;
deb)
	version=$(sed -n 's/^VERSION := //p' "$checkout/Makefile")
	(
		flock 9
		(enter -b "$2:/tmp/deb" /src/src/system/deb.sh "$version" /tmp/deb /build/deb)
	) 9>"$build.lock"
	;;
exec)
	shift
	enter "$@"
	;;
all)
	build_all all unit-programs
	for file in camera controls format; do
		(enter g++ -std=c++17 -Wall -Wextra -Werror -I/src \
			-I/opt/libcamera-main/usr/include/libcamera -o /dev/null \
			-c "/src/wrapper/$file.cpp")
	done
	count_step enter env CAMCAST_BUILD=/build bash /src/tests/run.sh unit
	count_step env CAMCAST_BUILD="$build" E2E=tests/e2e/test_libcamera.py tests/run.sh e2e
	if (enter bash /src/tests/first_run.sh B=/build); then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
	fi
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ]
	;;
*)
	sed -n '3,/^set/p' "${BASH_SOURCE[0]}" | sed '$d; s/^# \{0,1\}//' >&2
	exit 2
	;;
esac
