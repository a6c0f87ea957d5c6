#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# tests/guests/hw/run.sh [pytest arguments]: builds the project's package for Debian 13, installs it in
# guests that have what this machine lacks (a libcamera camera, dmabuf providers, a V4L2 encoder, a NIC
# over which a send is not copied, e1000e), and runs tests/guests/hw/cases there. Two guests run at a
# time, as more overload two slow cores; each file of cases is for the one that comes to it first. Ends
# with "N passed, N failed". Needs root, and what guest.sh needs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
# shellcheck source=tests/guests/lib.sh
. tests/guests/lib.sh

case_port=9001 # a feed's, in the guest
share=$(mktemp -d)
trap 'end_jobs_and_remove "$share"' EXIT
trap 'exit 130' INT TERM

guest=$(tests/guests/hw/guest.sh)
mkdir -p "$share/root/etc/systemd/system" "$share/src/tests/guests" "$share/taken"
if ! tests/guests/distros/run.sh deb "$share" >"$share/deb.log" 2>&1; then
	cat "$share/deb.log"
	exit 1
fi
# The same with a higher version, for test_package.
dpkg-deb --raw-extract "$share"/camcast_*.deb "$share/newer"
sed -i 's/^Version: .*/&+1/' "$share/newer/DEBIAN/control"
dpkg-deb --root-owner-group -Znone --build "$share/newer" "$share/newer.deb" >"$share/deb.log"
cp tests/guests/hw/guest.service "$share/root/etc/systemd/system/"
cp -r tests/conftest.py tests/e2e "$share/src/tests/"
cp -r tests/guests/hw "$share/src/tests/guests/"
: >"$share/arguments"
[ $# = 0 ] || printf '%s\0' "$@" >"$share/arguments"

# Guest $1; its console comes with its number before each line.
guests=()
start_guest() {
	local n=$1 port
	mkdir "$share/$n"
	port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	python3 tests/guests/hw/client.py "$share/$n" "$port" &
	# One processor, as a second one costs a fifth more for everything, here where two guests share
	# two cores; without AVX, which costs a quarter more; and of Intel: its TSC is watched, so that one
	# whose rate was measured wrong on a busy machine is not used.
	(guest_qemu 1100 "$guest" "" "$share" "console=ttyS0 no_timer_check systemd.unit=guest.service \
systemd.show_status=0 systemd.setenv=GUEST=$n systemd.setenv=CAMCAST_PATIENCE=${CAMCAST_PATIENCE:-6}" \
		qemu-system-x86_64 -cpu Nehalem,+rdrand -smp 1 -m 2048 \
		-netdev "user,id=n0,hostfwd=tcp:127.0.0.1:$port-:$case_port" \
		-device e1000e,netdev=n0,romfile=) | sed -u "s/^/$n: /" &
	guests+=($!)
}
for n in 1 2; do
	start_guest "$n"
done
for pid in "${guests[@]}"; do
	wait "$pid" || echo "a guest did not power off"
done

# Every case that did not pass has failed, and so has a guest that never came to an end.
python3 - "$share"/{1,2}/result.xml <<'COUNT'
import sys
import xml.etree.ElementTree as ET

try:
    cases = [case for path in sys.argv[1:] for case in ET.parse(path).getroot().iter("testcase")]
except (OSError, ET.ParseError) as error:
    sys.exit(f"the guest gave no result: {error}\n0 passed, 1 failed")
bad = sum(any(part.tag in ("failure", "error", "skipped") for part in case) for case in cases)
print(f"{len(cases) - bad} passed, {bad} failed")
sys.exit(1 if bad or not cases else 0)
COUNT
