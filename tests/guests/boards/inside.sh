#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The guest's init: as much of a system as the tests need, the package if the shared folder has one,
# the tests; then the power goes off. All that it says is in the shared folder's `output`, too.
export PATH=/usr/sbin:/usr/bin HOME=/root TERM=dumb LC_ALL=C.UTF-8
export PYTHONDONTWRITEBYTECODE=1 CAMCAST_BUILD=/build
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs tmpfs /run
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
ln -s /proc/self/fd /dev/fd
ulimit -Hn 524288 # as systemd has it
ip link set lo up
modprobe tun # for bench/peers/link
modprobe tls # as modules-load.d has it

run_tests() {
	local package
	echo "Linux $(uname -rm), pages of $(getconf PAGESIZE) bytes, up $(cut -d' ' -f1 /proc/uptime) s"
	for package in /mnt/*.deb; do
		[ -e "$package" ] || continue
		dpkg --force-unsafe-io --install "$package" >/dev/null &&
			camcastd --check -c /etc/camcast/config.ini || return
	done
	# shellcheck source=/dev/null # run.sh writes it
	. /mnt/environment
	cd /src && tests/run.sh ${UNIT_TESTS:+unit} ${E2E:+e2e alone}
}
run_tests 2>&1 | tee /mnt/output
echo o >/proc/sysrq-trigger
sleep 60
