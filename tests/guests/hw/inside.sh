#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Runs in the guest, from the folder that run.sh shares: the network, then the cases. GUEST is this
# guest's number.
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
cp -r /mnt/src /tmp/
export CAMCAST_BUILD=/usr/bin PYTHONDONTWRITEBYTECODE=1
cd /tmp/src/tests/guests/hw/cases || exit 1
mapfile -d '' arguments </mnt/arguments
python3 -m pytest -p no:cacheprovider -o console_output_style=classic -v -rs --tb=short \
	--durations=5 --junitxml="/mnt/$GUEST/result.xml" "${arguments[@]}"
