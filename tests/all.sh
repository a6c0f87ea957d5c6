#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Everything that must hold on each push, as root, with the packages of `make deps FOR="unit fuzz"`; those
# of the other steps are installed while the first one builds. Most steps run by themselves, as they
# use all processors or measure time. What they build first is built meanwhile, at low priority. At
# the end the failures of each step are shown once more, because the end is the part that people read.
# The last lines say how long each step took; the last one is "N passed, N failed", in which a step that
# counts nothing itself is one case.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
work=$(mktemp -d)
packages='' guests='' builds='' kernel='' fuzz='' # background jobs

# Prints the processes that descend from process $1, each before its own children.
descendants() {
	local child
	for child in $(pgrep -P "$1"); do
		echo "$child"
		descendants "$child"
	done
}

# Ends what runs in the background, however this script ends.
finish() {
	local job running
	for job in $packages $guests $builds $kernel $fuzz; do
		mapfile -t running < <(echo "$job"; descendants "$job")
		kill "${running[@]}" 2>/dev/null
	done
	wait
	rm -rf "$work"
}
trap finish EXIT
unset CAMCAST_BUILD
if [ -d /usr/lib/ccache ]; then
	export PATH=/usr/lib/ccache:$PATH CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
fi

# step NAME COMMAND: runs a command, and writes down what it counted and how long it took.
step() {
	local name=$1 log=$work/$1.log status ok bad start=$SECONDS
	shift
	echo "=== $name: $*"
	"$@" </dev/null 2>&1 | tee "$log" | sed -u "s/^/$name: /"
	status=${PIPESTATUS[0]}
	if [[ $(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1) =~ ^([0-9]+)\ passed,\ ([0-9]+) ]]; then
		ok=${BASH_REMATCH[1]} bad=${BASH_REMATCH[2]}
	else
		ok=$((status == 0)) bad=0
	fi
	[ "$status" = 0 ] || [ "$bad" != 0 ] || bad=1
	echo "$name $ok $bad $((SECONDS - start))" >>"$work/steps"
}

# ahead NAME COMMAND: the same for what is built ahead. Its failure is the failure of the step that needs
# it and does it once more, so it is not counted here.
ahead() {
	local name=$1 start=$SECONDS
	shift
	"$@" >"$work/$name.log" 2>&1 </dev/null || tail -n 20 "$work/$name.log" | sed "s/^/$name: /"
	echo "=== $name is ready, after $((SECONDS - start)) s"
	touch "$work/$name"
}

# The guests and root folders of ~/.cache: on a new machine they are downloaded.
make_guests() {
	renice -n 10 $BASHPID >/dev/null
	ahead root-debian13 tests/guests/distros/root.sh
	ahead guest-hw tests/guests/hw/guest.sh
	ahead guest-kernel tests/guests/boards/guest.sh amd64
}

build_ahead() {
	renice -n 10 $BASHPID >/dev/null
	ahead build-address make -j"$(nproc)" SAN=address all unit-programs benches
	ahead build-thread make -j"$(nproc)" SAN=thread all unit-programs benches
	ahead build-debian13 tests/guests/distros/run.sh build
	ahead deb-debian13 tests/guests/distros/run.sh deb "$work"
}

# Waits for what was built ahead: two makes in one folder would be in each other's way.
await() {
	local start=$SECONDS
	while [ ! -e "$work/$1" ]; do
		if ! kill -0 "$builds" 2>/dev/null; then
			echo "=== $1 was not built ahead: its job has ended"
			return
		fi
		sleep 1
	done
	[ $((SECONDS - start)) -lt 2 ] || echo "=== waited $((SECONDS - start)) s for $1"
}

# Lines that name what failed: of pytest, cmocka and tests/run.sh, of compilers and linters, of make.
failed_lines='\b(FAILED|ERROR)\b|^not ok|\berror:|\[-W[a-z-]+\]$|^make.*\*\*\* '
# Lines with which the output of a failure ends.
last_lines='^E  |^not ok|^FAILED (test|fuzz)_|\berror:'

# Shows what failed in a step: the lines that name a failure, and the output around the last failure.
show_failure() {
	local log=$work/$1.log last
	echo "=== $1 failed"
	grep -aE "$failed_lines" "$log" | grep -av '# SKIP' | awk '!seen[$0]++' | tail -n 60
	echo "=== the last failure of $1"
	last=$(grep -anE "$last_lines" "$log" | tail -n 1 | cut -d: -f1)
	head -n "$((${last:-1000000} + 3))" "$log" | tail -n 43
}

ahead packages make deps FOR=check-all &
packages=$!
step build make -j"$(nproc)" all unit-programs benches fuzzers
wait "$packages"
make_guests &
guests=$!
build_ahead &
builds=$!
step lint make lint # the steps up to `distros` run beside what is built ahead
step check env CAMCAST_PATIENCE=4 AGAIN=3 THOROUGH=yes make check CHECK='unit e2e'
step run tests/first_run.sh
await build-address
step address make unit SAN=address
step address-e2e make e2e SAN=address \
	E2E='tests/e2e/test_worker_faults.py tests/e2e/test_limits.py tests/e2e/test_status.py
	tests/e2e/test_push.py'
await build-thread
step thread make unit SAN=thread
step thread-e2e make e2e SAN=thread E2E=tests/e2e/test_capture.py
await deb-debian13
step distros env CAMCAST_PATIENCE=4 make check-distros
wait "$builds" "$guests" # from here on nothing runs beside a step, except where it says so
# One of the guests waits for a minute, and at the end one has fewer cases than the other.
step kernel make check-kernel &
kernel=$!
step hw make check-hw
wait "$kernel"
step alone env CAMCAST_PATIENCE=2 AGAIN=3 make alone
# The soak leaves almost a processor, and fuzzers search for a given time with what they get.
step fuzz nice -n 19 make fuzz &
fuzz=$!
step soak env CAMCAST_PATIENCE=4 make soak MINUTES=3
wait "$fuzz"
step bench make bench-quick # the ratios, for people to read

grep -ah 'run again: ' "$work"/*.log | sort -u
while read -r name _ bad _; do
	[ "$bad" = 0 ] || show_failure "$name" | cut -c1-300 | sed "s/^/$name: /"
done <"$work/steps"

awk '
	{ printf "%s: %d passed, %d failed in %d s\n", $1, $2, $3, $4; passed += $2; failed += $3 }
	END {
		printf "%d s in all\n%d passed, %d failed\n", seconds, passed, failed
		exit (failed > 0 || passed == 0)
	}
' seconds="$SECONDS" "$work/steps"
