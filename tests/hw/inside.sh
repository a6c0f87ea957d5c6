#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Runs in the guest, from the folder that run.sh shares: network, the package, then the cases.
set -u
udevadm settle
# The addresses of qemu's user-mode network.
ip link set lo up
for device in /sys/class/net/*/device; do
	nic=$(basename "$(dirname "$device")")
	ip link set "$nic" up
	ip address add 10.0.2.15/24 dev "$nic"
	ip route add default via 10.0.2.2
done
dpkg --force-unsafe-io --install /mnt/camcast_*.deb >/dev/null || exit 1
cp -r /mnt/src /tmp/
export CAMCAST_BUILD=/usr/bin CAMCAST_PATIENCE=${CAMCAST_PATIENCE:-3} PYTHONDONTWRITEBYTECODE=1
cd /tmp/src/tests/hw/cases || exit 1
mapfile -d '' arguments </mnt/arguments
python3 -m pytest -p no:cacheprovider -q -rfEs --tb=short --durations=12 --junitxml=/mnt/result.xml "${arguments[@]}"
