#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# bench/run.sh [--quick] [options of run.py]: measures the programs in $CAMCAST_BUILD (default:
# build/), writes the result to $BENCH_JSON (default: bench/result.json in that folder), and prints
# its tables. docs/BENCHMARKS.md describes how they get into that page. Needs two cores and a quiet
# machine.
set -euo pipefail
cd "$(dirname "$0")/.."
export CAMCAST_BUILD=${CAMCAST_BUILD:-$PWD/build}
result=${BENCH_JSON:-$CAMCAST_BUILD/bench/result.json}
case " $* " in
*" -h "* | *" --help "*) exec /usr/bin/python3 -B bench/run.py --help ;;
esac
/usr/bin/python3 -B bench/run.py --json "$result" "$@"
exec /usr/bin/python3 -B bench/report.py "$result"
