#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# tests/run.sh unit|e2e|fuzz... : runs what `make` has built in $CAMCAST_BUILD and ends with one line
# "N passed, N failed" over all cases. A program that crashes, hangs, or runs nothing has failed.
# FUZZ_SECONDS is for each fuzzer; E2E_JOBS end-to-end tests run at a time (else one for each
# processor); SAN says which sanitizer the programs have; UNIT_TESTS and E2E which
# files of unit and end-to-end tests are run; CAMCAST_PATIENCE (2), a whole number, lengthens all time
# limits on slow machines.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
build=${CAMCAST_BUILD:?}
FUZZ_SECONDS=${FUZZ_SECONDS:-10}
patience=${CAMCAST_PATIENCE:-2}
passed=0 failed=0 skipped=0
run=()

export CMOCKA_MESSAGE_OUTPUT=TAP
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
# Without the second of sleep at each exit, for which no process that is told to stop has time.
export TSAN_OPTIONS=${TSAN_OPTIONS:-second_deadlock_stack=1 atexit_sleep_ms=0}
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

run_unit() {
	local program output status ok bad skips planned
	for source in ${UNIT_TESTS:-tests/unit/test_*.c}; do
		program=$build/tests/unit/$(basename "$source" .c)
		output=$program.out
		timeout -k 10 $((150 * patience)) "${run[@]}" "$program" >"$output" 2>&1 </dev/null
		status=$?
		ok=$(count "$output" '^ok ')
		skips=$(count "$output" '^not ok .*# SKIP')
		bad=$(($(count "$output" '^not ok ') - skips))
		planned=$(grep -oE '^1\.\.[0-9]+' "$output" | awk -F. '{ n += $3 } END { print n + 0 }')
		if [ $((ok + bad + skips)) -lt "$planned" ]; then # it ended early
			bad=$((planned - ok - skips))
		fi
		skipped=$((skipped + skips))
		account "$(basename "$program")" "$status" "$ok" "$bad" "$output"
	done
}

# Each has an end to all its
# waiting; the limit is for what nobody thought of, so that it is a failure with a traceback.
run_e2e() {
	local output=$build/tests/e2e.out status
	mkdir -p "$build/tests"
	# shellcheck disable=SC2086 # several files
	"${run[@]}" /usr/bin/python3 -m pytest -q -p no:cacheprovider -n "${E2E_JOBS:-$(nproc)}" -rs \
		--timeout=$((450 * patience)) --durations=5 \
		${E2E:-tests/e2e} </dev/null 2>&1 | tee "$output"
	status=${PIPESTATUS[0]}
	summary() { # the last line: "1 failed, 3 passed, 2 skipped in 5.02s"
		tail -n 1 "$output" | grep -oE "[0-9]+ $1" | awk '{ n += $1 } END { print n + 0 }'
	}
	skipped=$((skipped + $(summary skipped)))
	account e2e "$status" "$(summary passed)" "$(summary '(failed|error)')" /dev/null
}

run_one_fuzzer() {
	local name=$1
	local folders=("$build/fuzz/corpus/$name") # what it finds goes into the first one
	mkdir -p "${folders[0]}"
	[ ! -d "tests/fuzz/corpus/$name" ] || folders+=("tests/fuzz/corpus/$name")
	timeout -k 10 $((FUZZ_SECONDS + 120)) "$build/fuzz/tests/fuzz/fuzz_$name" \
		-max_total_time="$FUZZ_SECONDS" -timeout=10 -rss_limit_mb=2048 \
		-print_final_stats=1 -artifact_prefix="$build/fuzz/found-$name-" \
		"${folders[@]}" >"$build/fuzz/$name.out" 2>&1 </dev/null
	echo $? >"$build/fuzz/$name.status"
}

# A fuzzer has passed if it ran at all, over its corpus and for its time, and found nothing. Two run
# at a time.
run_fuzz() {
	local source name output status ok names=()
	for source in tests/fuzz/fuzz_*.c; do
		name=$(basename "$source" .c)
		names+=("${name#fuzz_}")
	done
	for name in "${names[@]}"; do
		while [ "$(jobs -rp | wc -l)" -ge 2 ]; do
			wait -n
		done
		run_one_fuzzer "$name" &
	done
	wait
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
[ "$failed" = 0 ]
