#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# initrd.sh ROOT KERNEL INIT: writes to stdout the smallest initramfs that can mount the first disk,
# with the modules and the static busybox of a guest's root folder. It puts what the shared folder's
# `root` holds over the disk's, mounts the shared folder at /mnt, and becomes INIT.
set -euo pipefail
root=$1 kernel=$2 init=$3

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/{bin,mod,proc,sys,dev,root}
cp "$root/bin/busybox" "$tree/bin/"
for name in sh mount insmod cp switch_root; do
	ln -s busybox "$tree/bin/$name"
done
order=()
for module in virtio_pci virtio_blk ext4 9pnet_virtio 9p; do
	while read -r _ file _; do
		name=$(basename "$file" .xz)
		[ -e "$tree/mod/$name" ] && continue
		case $file in # busybox's insmod reads no xz
		*.xz) xz -dc "$file" >"$tree/mod/$name" ;;
		*) cp "$file" "$tree/mod/$name" ;;
		esac
		order+=("$name")
	done < <(modprobe -d "$root" -S "$kernel" --show-depends "$module" | grep '^insmod')
done
cat >"$tree/init" <<-INIT
	#!/bin/sh
	mount -t proc proc /proc
	mount -t sysfs sysfs /sys
	mount -t devtmpfs dev /dev
	for m in ${order[*]}; do insmod /mod/\$m; done
	mount -t ext4 -o rw,noatime /dev/vda /root
	mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 share /root/mnt
	cp -a /root/mnt/root/. /root/
	mount --move /dev /root/dev
	mount --move /proc /root/proc
	mount --move /sys /root/sys
	exec switch_root /root $init
INIT
chmod +x "$tree/init"
(cd "$tree" && find . | cpio -o -H newc --quiet | gzip -1)
