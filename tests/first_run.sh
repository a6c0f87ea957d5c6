#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# first_run.sh [VARIABLE=VALUE]...: what a person does first: `make run`, with these variables, and a
# player for ten seconds.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

touch "$logs/run" # before tail looks for it
make run "$@" >>"$logs/run" 2>&1 &
make=$!
timeout 300 grep -q -m 1 'tcp://.*:8888' <(tail -n +1 -f --pid=$make "$logs/run")
timeout 60 ffmpeg -nostdin -v warning -xerror -i tcp://127.0.0.1:8888 -t 10 -f null - \
	>"$logs/player" 2>&1
player=$?
until pkill -TERM -P $make || ! kill -0 $make 2>/dev/null; do
	sleep 0.2 # it has no child yet
done
wait $make || { echo "make run: exit status $?"; player=1; }
cat "$logs/run" "$logs/player"
[ "$player" = 0 ] && [ ! -s "$logs/player" ]
