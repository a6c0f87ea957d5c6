#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# bench/guest.sh [options of run.py]: what run.py can only do where the kernel has netem, by default
# the suite slow-far, in the guest of tests/hw with the programs and servers of Debian 13. The
# result is $BENCH_JSON (default: $CAMCAST_BUILD/bench/far.json), for `report.py result.json
# far.json`. The guest's processors are emulated and slow. Needs root, and what `make check-hw` and
# `make bench` install.
set -euo pipefail
cd "$(dirname "$0")/.."
result=${BENCH_JSON:-${CAMCAST_BUILD:-$PWD/build}/bench/far.json}

packages=( # the servers of bench/peers
	nginx-light libnginx-mod-rtmp vlc-bin vlc-plugin-base icecast2
	gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
)

share=$(mktemp -d)
machine=
cleanup() {
	[ -z "$machine" ] || kill "$machine" 2>/dev/null || true
	rm -rf "$share"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# The guest's disk with those packages, kept beside it.
guest=$(tests/hw/guest.sh)
disk=$guest/bench-$(echo "${packages[@]}" | sha256sum | cut -c1-12).img
make_disk() {
	cp --sparse=always "$guest/root.img" "$disk.part" || return
	# What the packages' scripts start ends with the namespace, and so does the mount.
	unshare --mount --pid --fork --kill-child --propagation private bash -euc '
		disk=$1 root=$2
		shift 2
		mkdir "$root"
		mount -o loop "$disk" "$root"
		mount -t proc proc "$root/proc"
		mount --rbind /dev "$root/dev"
		cp /etc/resolv.conf "$root/etc/resolv.conf"
		printf "#!/bin/sh\nexit 101\n" >"$root/usr/sbin/policy-rc.d"
		chmod +x "$root/usr/sbin/policy-rc.d"
		export DEBIAN_FRONTEND=noninteractive
		chroot "$root" apt-get -qq update
		chroot "$root" apt-get -qq -y --no-install-recommends install "$@"
		chroot "$root" apt-get -qq clean
		sync -f "$root"' make_disk "$disk.part" "$share/disk" "${packages[@]}" || return
	mv "$disk.part" "$disk"
}
(
	flock 9
	if [ ! -e "$disk" ] && ! (make_disk) >"$guest/bench.log" 2>&1; then
		tail "$guest/bench.log" >&2
		exit 1
	fi
) 9>"$guest.bench.lock"

# The same programs, of the distribution that the guest has.
build() {
	tests/distros/run.sh build && tests/distros/run.sh exec make -C /src B=/build benches
}
if ! build >"$share/build.log" 2>&1; then
	cat "$share/build.log" >&2
	exit 1
fi
mkdir -p "$share/root/etc/systemd/system" "$share/root/opt/bench/build/bench" \
	"$share/cache/camcast-bench"
tests/distros/run.sh exec tar -C /build -c camcastd bench/camload bench/feeder bench/floor \
	bench/publish | tar -C "$share/root/opt/bench/build" -x
cp -r bench "$share/root/opt/bench/"
python3 -B -c 'import shutil, sys; sys.path.insert(0, "bench"); import footage
for kind in "720p", "far":
    shutil.copy(footage.get(kind), sys.argv[1])' "$share/cache/camcast-bench"
printf '%s\0' --suites slow-far "$@" >"$share/arguments"

cat >"$share/inside.sh" <<'INSIDE'
#!/bin/bash
# The system in the guest, after the start: measures, then the power goes off.
udevadm settle
ip link set lo up
export CAMCAST_BUILD=/opt/bench/build XDG_CACHE_HOME=/mnt/cache
mapfile -d '' arguments </mnt/arguments
cd /opt/bench && python3 -B bench/run.py --json /mnt/result.json "${arguments[@]}"
INSIDE
chmod +x "$share/inside.sh"
sed -e 's|/mnt/src/tests/hw/inside.sh|/mnt/inside.sh|' \
	-e 's/^TimeoutStartSec=.*/TimeoutStartSec=infinity/' \
	tests/hw/guest.service >"$share/root/etc/systemd/system/guest.service"

# As tests/hw/run.sh does it; the network is the guest's own loopback.
qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 2048 \
	-nographic -no-reboot -nodefaults -serial stdio \
	-kernel "$guest/vmlinuz" -initrd "$guest/initrd.gz" \
	-append "console=ttyS0 quiet panic=-1 oops=panic mitigations=off tsc=reliable \
systemd.unit=guest.service systemd.show_status=0" \
	-drive "file=$disk,format=raw,if=virtio,snapshot=on" \
	-virtfs "local,path=$share,mount_tag=share,security_model=none,multidevs=remap" </dev/null &
machine=$!
wait "$machine" || echo "the guest did not power off" >&2
machine=
[ -e "$share/result.json" ] || {
	echo "the guest gave no result" >&2
	exit 1
}
mkdir -p "$(dirname "$result")"
cp "$share/result.json" "$result"
echo "$result"
