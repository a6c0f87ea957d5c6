#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Prints the path of a folder with a guest (vmlinuz, initrd.gz, root.img): the Debian 13 root of
# tests/guests/distros with systemd, a 6.12 kernel, udmabuf, the system dma-heap, vivid, and vicodec patched
# by tests/guests/vicodec-pi.py. Makes it first if it is not in the cache (a minute and a half). The folder is
# named after all that its contents depend on. Two runs at a time: the second waits.
# Needs root, an amd64 host, and mmdebstrap e2fsprogs cpio kmod xz-utils.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/guests/lib.sh
. "$here/../lib.sh"

cache=${XDG_CACHE_HOME:-$HOME/.cache}/camcast-hw
base=$("$here/../distros/root.sh")
key=$(cat "$here/guest.sh" "$here"/../{vicodec.sh,vicodec-pi.py,initrd.sh} <(basename "$base") |
	sha256sum | cut -c1-12)
guest=$cache/guest-$key
root=$guest/root

packages=(
	linux-image-amd64 linux-headers-amd64 linux-source-6.12 systemd udev kmod xz-utils make
	python3 python3-pytest v4l-utils iproute2 ethtool util-linux busybox-static
)

# Runs a command in the root folder, with mounts that go with it.
enter() {
	# shellcheck disable=SC2016 # for the inner shell
	unshare --mount --propagation private bash -euc '
		root=$1
		shift
		mount -t proc proc "$root/proc"
		mount --rbind /dev "$root/dev"
		exec chroot "$root" env DEBIAN_FRONTEND=noninteractive INITRD=No "$@"' enter "$root" "$@"
}

install_packages() {
	cp /etc/resolv.conf "$root/etc/resolv.conf"
	enter apt-get -qq update
	enter apt-get -qq -y --no-install-recommends install "${packages[@]}" >"$guest/apt.log" ||
		die "apt-get failed, see $guest/apt.log"
	enter apt-get -qq clean
}

# What is not worth the time that it takes an emulated processor, at the start and, generators, at
# each daemon-reload. Of the devices there are at the start, udev looks at those that cases use.
spare_the_processor() {
	local units=$root/etc/systemd/system path
	enter systemctl mask --quiet ldconfig.service systemd-hwdb-update.service \
		systemd-journal-catalog-update.service systemd-update-done.service \
		systemd-random-seed.service systemd-machine-id-commit.service systemd-binfmt.service \
		systemd-modules-load.service systemd-udev-load-credentials.service \
		systemd-pstore.service systemd-ask-password-console.path dev-hugepages.mount \
		dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
		sys-kernel-config.mount sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount
	mkdir -p "$units-generators" "$units/systemd-udev-trigger.service.d"
	for path in "$root"/usr/lib/systemd/system-generators/*; do
		ln -s /dev/null "$units-generators/${path##*/}"
	done
	cat >"$units/systemd-udev-trigger.service.d/guest.conf" <<-TRIGGER
		[Service]
		ExecStart=
		ExecStart=udevadm trigger --action=add --subsystem-match=pci --subsystem-match=net \
		  --subsystem-match=misc --subsystem-match=dma_heap
	TRIGGER
}

make_guest() {
	local tool
	for tool in cpio mke2fs modprobe xz; do
		command -v "$tool" >/dev/null || die "$tool is missing"
	done
	remove_root "$guest"
	mkdir -p "$guest"
	cp -a --reflink=auto "$base" "$root"
	install_packages
	kernel=$(basename "$(ls -d "$root"/usr/lib/modules/*-amd64)")
	"$here/../vicodec.sh" "$root" "$kernel" >"$guest/modules.log" 2>&1 ||
		die "building vicodec failed, see $guest/modules.log"
	rm "$root"/usr/src/linux-source-*
	: >"$root/etc/fstab"
	spare_the_processor
	: >"$root/etc/machine-id"
	cp "$root/boot/vmlinuz-$kernel" "$guest/vmlinuz"
	"$here/../initrd.sh" "$root" "$kernel" /usr/lib/systemd/systemd >"$guest/initrd.gz"
	mke2fs -q -t ext4 -O ^has_journal -d "$root" "$guest/root.img" 6G
	remove_root "$root"
	touch "$guest/.complete"
}

[ "$(id -u)" = 0 ] || die "must run as root, to make a root folder"
[ "$(dpkg --print-architecture)" = amd64 ] || die "the guest is an amd64 one, and so must be the host"
mkdir -p "$cache"
exec 9>"$guest.lock"
flock 9
if [ ! -e "$guest/.complete" ]; then
	make_guest >&2
fi
echo "$guest"
