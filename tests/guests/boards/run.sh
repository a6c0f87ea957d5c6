#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The project on Debian 12 as other machines have it, in guests under qemu's software emulation.
#
#   run.sh BOARD...   runs tests on each board; ends with "N passed, N failed"
#
# Boards:
#   amd64      Linux 6.1; what `make all unit-programs benches` built on this machine, a Debian 12 one:
#              the unit tests nearest to the kernel, and the end-to-end tests of the loop, the limits,
#              the worker and the frame slots, on both backends, and a USB camera with a V4L2 encoder
#   amd64-all  the same with all end-to-end tests of the daemon and its worker, with players and brokers
#   arm64      Cortex-A72, Linux 6.1, pages of 4 KiB: a Raspberry Pi 4's; the package: all unit tests,
#              the end-to-end tests nearest to the kernel, attacks on the sandboxes, and a USB camera
#              with a V4L2 encoder
#   arm64-16k  the same on a Cortex-A76, Linux 6.12, pages of 16 KiB: a Raspberry Pi 5's
#
# UNIT_TESTS and E2E choose other tests, as in tests/run.sh. Needs root, and what guest.sh and
# tests/guests/arm64 need.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
# shellcheck source=tests/guests/lib.sh
. tests/guests/lib.sh

near_kernel=$(echo tests/unit/test_{loop,loop_conn,logwriter,pagetee,slots,tls,tls_feed,worker}.c)
end_to_end=$(echo tests/e2e/test_{reference,limits,worker_faults}.py \
	tests/e2e/test_capture.py::test_{a_file_written_by_hand_decodes,pictures_written_by_hand_decode} \
	tests/e2e/test_capture.py::test_a_{lost_segment_is_sent_again,signal_ends_it_cleanly} \
	tests/e2e/test_capture.py::test_a_temporal_layer_is_droppable_and_nothing_refers_to_it \
	tests/guests/boards/test_devices.py)
tls=$(echo tests/guests/boards/test_kernel_tls.py::test_{a_unit_is_one_send_and_arrives_whole[{epoll,io_uring}-1.3],records_are_as_long_as_they_may_be})
captured=$(echo tests/attack/test_{worker_captured,children_confined}.py)
# What a viewer makes the loop and the kernel do. A worker that floods its daemon, and IDR requests by
# many viewers at once, take an emulated processor minutes, and are the same on every kernel.
kernel=$(echo "$end_to_end" \
	--deselect=e2e/test_worker_faults.py::test_viewers_outlive_a_faulty_worker'[unit-flood]' \
	--deselect=e2e/test_worker_faults.py::test_idr_requests_of_many_are_one_a_second \
	tests/e2e/test_clients.py::test_a_{stalled_client_is_put_out_and_costs_nobody,client_that_ends_its_side_goes_on_watching} \
	tests/e2e/test_clients.py::test_{resetting_clients_are_counted_and_forgotten,limits_close_who_is_too_many,sigterm_finishes_the_units_under_way} \
	"$tls")
# All of the daemon's and its worker's, except half a minute at full load, a bitrate as exact as the pictures'
# times, and what compiles something.
daemon=$(echo tests/e2e/test_{reference,limits,worker_faults,capture,clients,status,file,recv}.py \
	tests/e2e/test_{legacy,players,network,mqtt,mqtt_broker,mqtt_hostile}.py \
	--deselect=e2e/test_clients.py::test_clients_of_all_kinds_share_a_server \
	--deselect=e2e/test_capture.py::test_{the_bitrate_changes_while_running,slots_come_from_udmabuf_where_there_is_one})

work=$(mktemp -d)
trap 'end_jobs_and_remove "$work"' EXIT
trap 'exit 130' INT TERM

# Runs a command whose output is worth showing only if it fails.
quietly() {
	"$@" >"$work/log" 2>&1 || {
		cat "$work/log" >&2
		die "$* failed"
	}
}

# Puts what was built in folder $1 into the guest, but the programs, and what the tests read.
put_tests() {
	find "$1/tests/unit" -type f -executable -exec cp -t "$share/root/build/tests/unit/" {} +
	cp "$1"/tests/support/{fakeworker,decode} "$share/root/build/tests/support/"
	cp -r tests docs config.ini Makefile "$share/root/src/"
}

# What the guest of an architecture has, and the words of its kernel's command line.
prepare_amd64() {
	local build=${CAMCAST_BUILD:-build} recording=/usr/share/doc/opencv-doc/examples/data/vtest.avi
	[ "$(. /etc/os-release && echo "$VERSION_CODENAME")" = bookworm ] ||
		die "what this machine builds is not for Debian 12"
	machine=(qemu-system-x86_64 -cpu Nehalem) # without AVX, and with a watched TSC, as in tests/guests/hw/run.sh
	words="console=ttyS0 no_timer_check"
	[ ! -e "$recording" ] || cp --parents "$recording" "$share/root" # as in tests/e2e/test_file.py
	cp "$build"/{camcastd,camcast-capture,camcast} "$share/root/build/"
	cp "$build/bench/camload" "$share/root/build/bench/"
	cp "$build/bench/peers/link" "$share/root/build/bench/peers/"
	put_tests "$build"
}

prepare_arm64() {
	words="console=ttyAMA0"
	quietly tests/guests/arm64/run.sh build
	quietly tests/guests/arm64/run.sh deb "$share"
	ln -s /usr/bin/{camcastd,camcast-capture,camcast} "$share/root/build/"
	ln -s /usr/bin/camload "$share/root/build/bench/"
	put_tests "$(tests/guests/arm64/run.sh folder)"
}

# Adds what the last line of a guest's output says to $passed and $failed.
count() {
	if [[ $(tail -n 1 "$1" 2>/dev/null) =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
		passed=$((passed + BASH_REMATCH[1]))
		failed=$((failed + BASH_REMATCH[2]))
	else
		echo "the guest gave no result"
		failed=$((failed + 1))
	fi
}

run_board() {
	local board=$1 arch=${1%%-*} share=$work/$1 flavour=-$1 machine words guest
	local unit e2e="$end_to_end $captured"
	unit=$(echo tests/unit/test_*.c)
	case $board in
	amd64) unit=$near_kernel e2e=$kernel ;;
	amd64-all) unit=$near_kernel e2e=$daemon flavour=-amd64 ;;
	arm64) machine=(qemu-system-aarch64 -M "virt,gic-version=3" -cpu cortex-a72) ;;
	arm64-16k) machine=(qemu-system-aarch64 -M "virt,gic-version=3" -cpu cortex-a76) ;;
	*) die "there is no board $board" ;;
	esac
	guest=$(tests/guests/boards/guest.sh "$arch")
	mkdir -p "$share"/root/{src,build/{bench/peers,tests/support,tests/unit}}
	"prepare_$arch"
	if [ -n "${UNIT_TESTS:-}${E2E:-}" ]; then
		unit=${UNIT_TESTS:-} e2e=${E2E:-}
	fi
	printf 'export %s=%q\n' CAMCAST_PATIENCE "${CAMCAST_PATIENCE:-10}" UNIT_TESTS "$unit" ALONE_JOBS 0 \
		E2E "$e2e" PYTEST_ADDOPTS "${PYTEST_ADDOPTS:-}" >"$share/environment"
	echo "=== $board"
	guest_qemu 3600 "$guest" "$flavour" "$share" "$words" "${machine[@]}" -smp 2 -m 4096 &
	wait $! || echo "the guest did not power off"
	count "$share/output"
	rm -rf "$share"
}

passed=0 failed=0
for board in "$@"; do
	run_board "$board"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
