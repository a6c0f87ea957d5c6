#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# bench/run.sh [--quick] [options of run.py]: measures what stands in $CAMCAST_BUILD (default
# build/) and prints the tables of docs/BENCHMARKS.md. Wants two cores and a quiet machine.
set -euo pipefail
cd "$(dirname "$0")/.."
export CAMCAST_BUILD=${CAMCAST_BUILD:-$PWD/build}
exec /usr/bin/python3 -B bench/run.py "$@"
