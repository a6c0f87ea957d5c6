#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# guest.sh amd64|arm64: prints the path of a folder with a Debian 12 guest: root.img, and vmlinuz-FLAVOUR
# and initrd-FLAVOUR.gz for each of its kernels (6.1: amd64 or arm64; arm64-16k: 6.12 of Debian 12's
# backports, with pages of 16 KiB). In it is what the project and its tests run with, and vicodec for
# each kernel. Makes it first if it is not in the cache (amd64 two minutes, arm64 ten). The folder is
# named after all that its contents depend on. Two runs at a time: the second waits.
# Needs root, an amd64 Debian machine, mmdebstrap e2fsprogs cpio kmod xz-utils, and for arm64
# arch-test and qemu-user-static.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/guests/lib.sh
. "$here/../lib.sh"

suite=bookworm
arch=$1
packages=(
	# What the package depends on, and the unit tests' library.
	liburing2 libcjson1 libsystemd0 libcamera0.0.3 libcamera-ipa udev
	libavformat59 libavcodec59 libswscale6 libavutil57 libopenh264-7 libjpeg62-turbo libmosquitto1
	libsdl2-2.0-0 libsdl2-ttf-2.0-0 libfontconfig1 libharfbuzz0b libfribidi0 libseccomp2
	libcmocka0
	# What the tests run.
	python3 python3-pytest python3-pytest-xdist python3-pytest-timeout python3-numpy
	python3-paho-mqtt python3-jsonschema python3-prometheus-client
	mosquitto ffmpeg procps iproute2 kmod busybox-static
	# What vicodec, and the attackers of tests/attack, are built with.
	gcc libc6-dev make linux-source-6.1
)
case $arch in
amd64)
	flavours=(amd64) kernels=(linux-{image,headers}-amd64)
	packages+=(python3-opencv openssl mosquitto-clients gstreamer1.0-tools gstreamer1.0-plugins-base
		gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav)
	;;
arm64)
	flavours=(arm64 arm64-16k)
	kernels=(linux-{image,headers}-arm64 linux-{image,headers}-arm64-16k"/$suite-backports"
		"linux-source-6.12/$suite-backports")
	;;
*) die "there is no guest of architecture $arch" ;;
esac

cache=${XDG_CACHE_HOME:-$HOME/.cache}/camcast-boards
key=$(cat "${BASH_SOURCE[0]}" "$here"/../{vicodec.sh,vicodec-pi.py,initrd.sh} | sha256sum | cut -c1-12)
guest=$cache/$arch-$key

# Makes this machine run arm64's programs, by qemu-user-static, while packages are configured. One at a
# time, as each takes away what it has registered.
run_foreign() {
	local misc=/proc/sys/fs/binfmt_misc name=qemu-aarch64
	exec 8>"$cache/foreign.lock"
	flock 8
	[ -e $misc/register ] || mount -t binfmt_misc binfmt_misc $misc
	[ -e $misc/$name ] && return
	cat /usr/lib/binfmt.d/$name.conf >$misc/register
	# shellcheck disable=SC2064 # these names, as they are now
	trap "echo -1 >$misc/$name" EXIT
}

make_guest() {
	local root=$guest/root mirror flavour kernel tool
	for tool in mmdebstrap cpio mke2fs modprobe xz; do
		command -v "$tool" >/dev/null || die "$tool is missing"
	done
	mirror=$(debian_mirror)
	remove_root "$guest"
	mkdir -p "$guest"
	[ "$arch" = "$(dpkg --print-architecture)" ] || run_foreign
	# Without the locks: mmdebstrap's shell knows descriptors up to 9 only.
	INITRD=No mmdebstrap --quiet --variant=minbase --mode=root --architectures="$arch" \
		--aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--include="$(IFS=, && echo "${packages[*]},${kernels[*]}")" \
		"$suite" "$root" "deb $mirror $suite main" "deb $mirror $suite-backports main" 8>&- 9>&- ||
		die "mmdebstrap failed"
	printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
	: >"$root/etc/resolv.conf"
	: >"$root/etc/fstab"
	for flavour in "${flavours[@]}"; do
		kernel=$(basename "$(ls -d "$root"/lib/modules/*[0-9]-"$flavour")")
		cp "$root/boot/vmlinuz-$kernel" "$guest/vmlinuz-$flavour"
		"$here/../vicodec.sh" "$root" "$kernel" >"$guest/modules-$flavour.log" 2>&1 ||
			die "building vicodec failed, see $guest/modules-$flavour.log"
		"$here/../initrd.sh" "$root" "$kernel" /src/tests/guests/boards/inside.sh \
			>"$guest/initrd-$flavour.gz"
	done
	rm -r "$root"/usr/src/*
	mke2fs -q -t ext4 -O ^has_journal -d "$root" "$guest/root.img" 4G
	remove_root "$root"
	touch "$guest/.complete"
}

[ "$(id -u)" = 0 ] || die "must run as root, to make a root folder"
mkdir -p "$cache"
exec 9>"$guest.lock"
flock 9
if [ ! -e "$guest/.complete" ]; then
	make_guest >&2
fi
echo "$guest"
