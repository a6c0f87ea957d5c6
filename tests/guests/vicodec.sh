#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# vicodec.sh ROOT KERNEL: builds vicodec, the kernel's test codec, changed by vicodec-pi.py, for a kernel
# of a guest's root folder, and installs it there: Debian builds no memory-to-memory test drivers. The
# root needs the kernel's linux-headers, linux-source of the same version, make, python3 and kmod; if it
# is of another architecture, this machine must run its programs. Needs root.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$1 kernel=$2
version=$(cut -d. -f1,2 <<<"$kernel")
source=$root/usr/src/oot

# Runs a command in the root folder, with mounts that go with it.
enter() {
	# shellcheck disable=SC2016 # for the inner shell
	unshare --mount --propagation private bash -euc '
		root=$1
		shift
		mount -t proc proc "$root/proc"
		mount --rbind /dev "$root/dev"
		exec chroot "$root" "$@"' enter "$root" "$@"
}

rm -rf "$source"
mkdir -p "$source"
tar -C "$source" -xJf "$root/usr/src/linux-source-$version.tar.xz" --strip-components=3 \
	"linux-source-$version/drivers/media/test-drivers/vicodec" \
	"linux-source-$version/drivers/media/v4l2-core/v4l2-mem2mem.c"
mv "$source/v4l2-core/v4l2-mem2mem.c" "$source/test-drivers/vicodec" "$source/"
python3 "$here/vicodec-pi.py" "$source/vicodec/vicodec-core.c"
echo 'obj-m += v4l2-mem2mem.o vicodec/' >"$source/Kbuild"
enter make -C "/lib/modules/$kernel/build" M=/usr/src/oot -j"$(nproc)" CONFIG_VIDEO_VICODEC=m modules
mkdir -p "$root/usr/lib/modules/$kernel/updates"
find "$source" -name '*.ko' -exec cp {} "$root/usr/lib/modules/$kernel/updates/" \;
enter depmod "$kernel"
rm -rf "$source"
