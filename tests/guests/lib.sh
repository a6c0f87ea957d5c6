# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# Sourced by the scripts of root folders and guests: what they have in common.

die() {
	echo "$0: $*" >&2
	exit 1
}

# The Debian archive that this machine uses already, from whatever format its apt sources have.
debian_mirror() {
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m1 '/debian/$' ||
		die "no Debian mirror found in /etc/apt"
}

# remove_root FOLDER: removes what was left of a root folder, if anything. Where its making was killed,
# this machine's /proc and /sys may still be mounted in it.
remove_root() {
	local mounts
	mapfile -t mounts < <(awk -v root="$1/" 'index($5, root) == 1 { print $5 }' /proc/self/mountinfo | sort -r)
	[ ${#mounts[@]} = 0 ] || umount "${mounts[@]}" || die "$1 has mounts in it"
	rm -rf --one-file-system "$1"
}

# end_jobs_and_remove FOLDER: for a script's end, however it ends.
end_jobs_and_remove() {
	local running
	mapfile -t running < <(jobs -p)
	[ ${#running[@]} = 0 ] || kill "${running[@]}" 2>/dev/null || true
	rm -rf "$1"
}

# build_folder ROOT CHECKOUT: the folder for what is built in a root folder from a checkout; it is
# kept beside the root.
build_folder() {
	local folder
	folder=$1.build-$(printf '%s' "$2" | sha256sum | cut -c1-12)
	mkdir -p "$folder"
	echo "$folder"
}

# enter_root ROOT CHECKOUT BUILD [-b DIR:TARGET]... COMMAND: becomes the command, in the root folder.
# There the checkout is /src (read-only), BUILD is /build, and nothing else can be written but /tmp
# and /run; -b shows a folder of this machine at TARGET, which exists or is below /tmp. Mounts are in
# a namespace of their own and go with the process.
enter_root() {
	local root=$1 checkout=$2 build=$3 binds=()

	shift 3
	while [ "${1:-}" = -b ]; do
		binds+=("$2")
		shift 2
	done
	# shellcheck disable=SC2016 # what expands, expands in there
	exec unshare --mount --propagation private bash -euc '
		root=$1 checkout=$2 build=$3 n=$4
		shift 4
		mount --bind "$root" "$root"
		mount -o remount,bind,ro "$root"
		mount --rbind /dev "$root/dev"
		mount --rbind /proc "$root/proc"
		mount --rbind /sys "$root/sys"
		mount -t tmpfs tmpfs "$root/tmp"
		mount -t tmpfs tmpfs "$root/run"
		mount --bind "$checkout" "$root/src"
		mount -o remount,bind,ro "$root/src"
		mount --bind "$build" "$root/build"
		for bind in "${@:1:n}"; do
			case ${bind##*:} in
			/tmp/*) mkdir -p "$root${bind##*:}" ;;
			esac
			mount --bind "${bind%:*}" "$root${bind##*:}"
		done
		shift "$n"
		cd /
		exec chroot "$root" "$@"' \
		enter "$root" "$checkout" "$build" "${#binds[@]}" "${binds[@]}" "$@"
}

# guest_qemu SECONDS GUEST FLAVOUR SHARE WORDS QEMU...: becomes a guest until it is off or its time is
# over, so call it in a subshell. It boots GUEST/root.img with GUEST/vmlinuzFLAVOUR,
# GUEST/initrdFLAVOUR.gz and WORDS on the kernel's command line, in QEMU (the program, processors, memory,
# devices; of the Debian 13 root), with its console on stdout. SHARE is the folder that it shares. What
# it writes on its disk is gone then.
guest_qemu() {
	local seconds=$1 guest=$2 flavour=$3 share=$4 words=$5 root
	shift 5
	root=$(tests/guests/distros/root.sh)
	# Software emulation always: /dev/kvm is there and hangs on some machines. The guest's folder is
	# /src in the root, and SHARE /build. The kernel does without what makes attacks harder, except
	# Landlock, and without huge pages: to clear them takes an emulated processor long.
	enter_root "$root" "$guest" "$share" env TMPDIR=/run timeout -k 10 "$seconds" \
		"$@" -accel tcg,thread=multi \
		-nographic -no-reboot -nodefaults -serial stdio \
		-kernel "/src/vmlinuz$flavour" -initrd "/src/initrd$flavour.gz" \
		-append "quiet panic=-1 oops=panic mitigations=off lsm=landlock init_on_alloc=0 hardened_usercopy=off \
transparent_hugepage=never $words" \
		-drive "file=/src/root.img,format=raw,if=virtio,snapshot=on,cache=unsafe" \
		-virtfs "local,path=/build,mount_tag=share,security_model=none,multidevs=remap" </dev/null
}
