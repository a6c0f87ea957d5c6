#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# tests/run.sh unit|e2e|alone|fuzz... : runs what `make` has built in $CAMCAST_BUILD and ends with one
# line "N passed, N failed" over all cases. A program that crashes, hangs, or runs nothing has failed.
#
#   unit   the unit programs, two for each processor at a time, because they wait half of the time
#   e2e    the end-to-end tests, E2E_JOBS (one for each processor) at a time, except those that are
#          marked `alone` and, with THOROUGH=no, those that are marked `thorough`; tests/conftest.py
#          says in which order
#   alone  those that are, one after the other, because they measure time and need a quiet machine;
#          beside them run those that are marked `calm`, ALONE_JOBS (2) in all
#   fuzz   each fuzzer runs its corpus, and then looks for more for FUZZ_SECONDS, some for longer;
#          two for each processor at a time
#
# AGAIN=N: if at most N end-to-end tests fail, each has a second try, with nothing beside it.
# SAN says which sanitizer the programs have; UNIT_TESTS and E2E which files of unit and end-to-end
# tests are run; CAMCAST_PATIENCE (2), a whole number, lengthens all time limits on slow machines.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
build=${CAMCAST_BUILD:?}
FUZZ_SECONDS=${FUZZ_SECONDS:-0}
patience=${CAMCAST_PATIENCE:-2}
passed=0 failed=0 skipped=0
run=()

export CMOCKA_MESSAGE_OUTPUT=TAP
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
# Without the second of sleep at each exit, for which no process that is told to stop has time.
TSAN_OPTIONS=${TSAN_OPTIONS:-second_deadlock_stack=1 atexit_sleep_ms=0}
export TSAN_OPTIONS="$TSAN_OPTIONS suppressions=$PWD/tests/support/tsan.supp"
# As src/daemon/main.c does it for its workers: a fifth less for each start with libcamera.
export LTTNG_UST_WITHOUT_BADDR_STATEDUMP=1
# Early ThreadSanitizers cannot live with as many random address bits as newer kernels use.
if [ "${SAN:-}" = thread ] && setarch -R true 2>/dev/null; then
	run=(setarch -R)
fi

# Counts the lines of file $1 that match $2.
count() {
	grep -cE "$2" "$1" || true
}

# Takes what ran as $1, its exit status, passed and failed cases, and its output: shows the output
# of a failure, and adds the figures up.
account() {
	local name=$1 status=$2 ok=$3 bad=$4 output=$5
	if [ "$bad" = 0 ] && { [ "$status" != 0 ] || [ "$ok" = 0 ]; }; then
		bad=1
	fi
	if [ "$bad" != 0 ]; then
		cat "$output"
		echo "FAILED $name: exit status $status"
	fi
	echo "$name: $ok passed, $bad failed"
	passed=$((passed + ok))
	failed=$((failed + bad))
}

# pool N COMMAND NAME...: runs COMMAND NAME for each name, N at a time.
pool() {
	local jobs=$1 command=$2 name
	shift 2
	for name; do
		while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
			wait -n
		done
		"$command" "$name" &
	done
	wait
}

run_one_unit() {
	local program=$build/tests/unit/$1
	timeout -k 10 $((150 * patience)) "${run[@]}" "$program" >"$program.out" 2>&1 </dev/null
	echo $? >"$program.status"
}

# These unit programs take longest, so they begin first.
long_units='test_(capture|encoders|file_source|children|mp4|feed|feed_lag|session)'

run_unit() {
	local name output status ok bad skips planned names
	# shellcheck disable=SC2086 # several files
	mapfile -t names < <(basename -a -s .c ${UNIT_TESTS:-tests/unit/test_*.c})
	# ThreadSanitizer can find nothing in a program that starts no thread.
	if [ "${SAN:-}" = thread ] && [ -z "${UNIT_TESTS:-}" ]; then
		mapfile -t names < <(for name in "${names[@]}"; do
			nm -D -u "$build/tests/unit/$name" | grep -qw pthread_create && echo "$name"
		done)
	fi
	# shellcheck disable=SC2046 # several names
	pool $((2 * $(nproc))) run_one_unit \
		$(printf '%s\n' "${names[@]}" | grep -xE "$long_units") \
		$(printf '%s\n' "${names[@]}" | grep -vxE "$long_units")
	for name in "${names[@]}"; do
		output=$build/tests/unit/$name.out
		status=$(cat "$build/tests/unit/$name.status")
		ok=$(count "$output" '^ok ')
		skips=$(count "$output" '^not ok .*# SKIP')
		bad=$(($(count "$output" '^not ok ') - skips))
		planned=$(grep -oE '^1\.\.[0-9]+' "$output" | awk -F. '{ n += $3 } END { print n + 0 }')
		if [ $((ok + bad + skips)) -lt "$planned" ]; then # it ended early
			bad=$((planned - ok - skips))
		fi
		skipped=$((skipped + skips))
		account "$name" "$status" "$ok" "$bad" "$output"
	done
}

# The last line of pytest's output $1 counts cases of kind $2: "1 failed, 3 passed, 2 skipped in 5.02s"
summary() {
	tail -n 1 "$1" | grep -oE "[0-9]+ $2" | awk '{ n += $1 } END { print n + 0 }'
}

# pytest_cases NAME MARKS JOBS: the end-to-end tests with these marks. Every wait in them has an end;
# the time limit turns one that was forgotten into a failure with a traceback. With loadgroup each
# process takes one case at a time, and those of an xdist_group stay in one process.
pytest_cases() {
	local name=$1 output=$build/tests/$1.out status files ok bad
	local pytest=("${run[@]}" /usr/bin/python3 -m pytest -q -p no:cacheprovider -rfEs
		--timeout=$((450 * patience)))
	mkdir -p "$build/tests"
	# test_libcamera.py needs a Debian 13 root folder: `make check-distros` runs it.
	files=${E2E:-$(find tests/e2e tests/attack -name 'test_*.py' ! -name test_libcamera.py | sort)}
	# Once, before each process would compile the tests for itself: 3 s of processor time.
	if [ -z "${PYTHONDONTWRITEBYTECODE:-}" ] && [ ! -d tests/__pycache__ ]; then
		# shellcheck disable=SC2086
		"${pytest[@]}" --collect-only $files >"$output" 2>&1 </dev/null
	fi
	# shellcheck disable=SC2086 # several files
	"${pytest[@]}" -m "$2" -n "$3" --dist loadgroup --durations=5 $files </dev/null 2>&1 | tee "$output"
	status=${PIPESTATUS[0]}
	if [ "$status" = 5 ] && [ -n "${E2E:-}" ]; then # none of these files' cases has the marks
		return
	fi
	ok=$(summary "$output" passed) bad=$(summary "$output" '(failed|error)')
	skipped=$((skipped + $(summary "$output" skipped)))
	if [ "$bad" -gt 0 ] && [ "$bad" -le "${AGAIN:-0}" ] && once_more "$output"; then
		ok=$((ok + bad)) bad=0 status=0
	fi
	account "$name" "$status" "$ok" "$bad" /dev/null
}

# Runs the cases that failed in output $1 once more, with nothing beside them, and names them. False: one
# failed again.
once_more() {
	local cases
	mapfile -t cases < <(sed -nE 's/^(FAILED|ERROR) (tests[^ ]*::.*)$/\2/p' "$1" |
		sed -E 's/ - .*//; s/@[a-z_]+$//' | sort -u)
	printf 'run again: %s\n' "${cases[@]}"
	[ "${#cases[@]}" -gt 0 ] && "${pytest[@]}" "${cases[@]}" </dev/null
}

run_e2e() {
	local marks='not alone'

	[ "${THOROUGH:-yes}" != no ] || marks+=' and not thorough'
	pytest_cases e2e "$marks" "${E2E_JOBS:-$(nproc)}"
}

run_alone() {
	pytest_cases alone alone "${ALONE_JOBS:-2}"
}

# Fuzzers of what strangers send before it is known who they are have six times FUZZ_SECONDS.
long_fuzzers='challenge|credentials|first_bytes|http|onvif.*|ranges|rtcp|rtsp|satip.*'

run_one_fuzzer() {
	local name=$1 seconds=$FUZZ_SECONDS time=-runs=0 # the corpus alone
	local folders=("$build/fuzz/corpus/$name") # what it finds goes into the first one
	mkdir -p "${folders[0]}"
	[ ! -d "tests/fuzz/corpus/$name" ] || folders+=("tests/fuzz/corpus/$name")
	[[ ! $name =~ ^($long_fuzzers)$ ]] || seconds=$((6 * seconds))
	[ "$seconds" = 0 ] || time=-max_total_time=$seconds
	timeout -k 10 $((seconds + 120)) "$build/fuzz/tests/fuzz/fuzz_$name" \
		"$time" -timeout=10 -rss_limit_mb=2048 \
		-print_final_stats=1 -artifact_prefix="$build/fuzz/found-$name-" \
		"${folders[@]}" >"$build/fuzz/$name.out" 2>&1 </dev/null
	echo $? >"$build/fuzz/$name.status"
}

# A fuzzer has passed if it ran at all, over its corpus and for its time, and found nothing.
run_fuzz() {
	local name output status ok names
	mapfile -t names < <(basename -a -s .c tests/fuzz/fuzz_*.c | sed 's/^fuzz_//')
	# shellcheck disable=SC2046 # several names
	pool $((2 * $(nproc))) run_one_fuzzer \
		$(printf '%s\n' "${names[@]}" | grep -xE "$long_fuzzers") \
		$(printf '%s\n' "${names[@]}" | grep -vxE "$long_fuzzers")
	for name in "${names[@]}"; do
		output=$build/fuzz/$name.out
		status=$(cat "$build/fuzz/$name.status")
		ok=0
		if [ "$status" = 0 ] && grep -q 'number_of_executed_units: *[1-9]' "$output"; then
			ok=1
		fi
		account "fuzz_$name" "$status" "$ok" 0 "$output"
	done
}

for kind in "$@"; do
	"run_$kind"
done
[ "$skipped" = 0 ] || echo "$skipped skipped"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
