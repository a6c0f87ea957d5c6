#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# bench/guest.sh [options of run.py]: the suites `tls`, `rtsp-udp` and `rtsp-udp-device` in a guest with
# Debian's Linux 6.1, whose kernel encrypts, as that of this machine may not. Measures the programs in
# $CAMCAST_BUILD, writes the result to $BENCH_JSON (default: bench/guest.json in that folder), and prints
# its tables.
#
# The guest is emulated, and its clock counts instructions, one a ns: a CPU time in us is a number of
# thousand instructions, in programs and kernel, which no other work on this machine changes. Its root is
# this machine's, read-only, so this has to be a Debian 12. Needs root, and what `make bench-guest` asks for.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(realpath "${CAMCAST_BUILD:-build}")
result=${BENCH_JSON:-$build/bench/guest.json}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree share=$work/share kernel=$work/kernel

# The kernel is not installed, as this machine may boot another one.
image=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[^ ]*\)/\1/p' | tail -n 1)
mkdir -p "$tree"/{bin,m,proc,sys,dev,root} "$share/build/bench" "$kernel"
(cd "$work" && apt-get -qq -o APT::Sandbox::User=root download "$image" && dpkg -x "$image"_*.deb "$kernel")
version=${image#linux-image-}
depmod -b "$kernel" "$version"
for module in virtio_pci 9pnet_virtio 9p tls aesni_intel veth; do
	modprobe -d "$kernel" -S "$version" --show-depends "$module" | awk '/^insmod/ { print $2 }'
done | awk '!seen[$0]++' >"$work/modules"
while read -r file; do
	cp "$file" "$tree/m/"
	echo "insmod /m/${file##*/}" >>"$work/insmod"
done <"$work/modules"
cp "$(command -v busybox)" "$tree/bin/busybox"
for name in sh mount insmod mkdir switch_root; do
	ln -s busybox "$tree/bin/$name"
done
cat >"$tree/init" <<-INIT
	#!/bin/sh
	mount -t proc proc /proc
	$(cat "$work/insmod")
	mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose host /root
	mount -t devtmpfs dev /root/dev
	mount -t proc proc /root/proc
	mount -t sysfs sys /root/sys
	mount -t tmpfs -o mode=1777 tmp /root/tmp
	mount -t tmpfs run /root/run
	mkdir -p /root/tmp/share
	mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 share /root/tmp/share
	exec switch_root /root /bin/bash /tmp/share/inside.sh
INIT
chmod +x "$tree/init"
(cd "$tree" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initrd.gz"

cp -r bench "$share/"
cp "$build"/{camcastd,camcast-capture} "$share/build/"
cp -r "$build"/bench/{camload,feeder,floor,peers} "$share/build/bench/"
printf '%q ' "$@" >"$share/words"
cat >"$share/inside.sh" <<-'INSIDE'
	export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8
	mkdir /dev/shm && mount -t tmpfs shm /dev/shm
	ln -s /proc/self/fd /dev/fd
	ulimit -Hn 524288
	ip link set lo up
	cp -r /tmp/share/bench /tmp/share/build /tmp/
	export CAMCAST_BUILD=/tmp/build
	eval "set -- $(cat /tmp/share/words)"
	/usr/bin/python3 -B /tmp/bench/run.py --suites tls,rtsp-udp,rtsp-udp-device --rounds 1 \
		--seconds 1 --clients 10,100 --polite --one-core --json /tmp/share/result.json "$@" 2>&1 |
		tee /tmp/share/output
	echo o >/proc/sysrq-trigger
	sleep 60
INSIDE
# Of one processor, as the clock would count both. Without ERMS, with which each byte of a copy is an
# instruction. While it waits, for this machine's disk too, its time is real time (sleep=on).
timeout -k 10 3600 qemu-system-x86_64 -accel tcg,thread=single -icount shift=0,sleep=on \
	-cpu max,-erms,-fsrm -smp 1 -m 4096 -nographic -no-reboot -nodefaults -serial stdio \
	-kernel "$kernel/boot/vmlinuz-$version" -initrd "$work/initrd.gz" \
	-append "quiet panic=-1 mitigations=off init_on_alloc=0 hardened_usercopy=off \
transparent_hugepage=never console=ttyS0 no_timer_check" \
	-virtfs local,path=/,mount_tag=host,security_model=none,multidevs=remap,readonly=on \
	-virtfs "local,path=$share,mount_tag=share,security_model=none,multidevs=remap" </dev/null
cp "$share/result.json" "$result"
exec /usr/bin/python3 -B bench/report.py "$result"
