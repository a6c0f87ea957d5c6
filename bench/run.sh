#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# bench/run.sh [--quick] [options of run.py]: measures what stands in $CAMCAST_BUILD (default
# build/) into $BENCH_JSON (default there) and prints the tables; docs/BENCHMARKS.md says how they
# get there. Wants two cores and a quiet machine.
set -euo pipefail
cd "$(dirname "$0")/.."
export CAMCAST_BUILD=${CAMCAST_BUILD:-$PWD/build}
for program in camcastd camcast-capture bench/{camload,feeder,floor} bench/peers/{link,publish}; do
	[ -x "$CAMCAST_BUILD/$program" ] || {
		echo "bench/run.sh: $CAMCAST_BUILD/$program is not built: run make all benches" >&2
		exit 1
	}
done
result=${BENCH_JSON:-$CAMCAST_BUILD/bench/result.json}
/usr/bin/python3 -B bench/run.py --json "$result" "$@"
exec /usr/bin/python3 -B bench/report.py "$result"
