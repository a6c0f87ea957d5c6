#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# deb.sh VERSION FOLDER [OBJECTS]: builds the Debian package of this source tree for this machine, or
# for the architecture in ARCH, and puts it into FOLDER. Object files stay in the folder OBJECTS for
# the next build; without OBJECTS everything is compiled again. Needs debhelper and the Build-Depends
# of debian/control; another architecture also needs its cross compiler, CC_FOR_BUILD and AR.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
objects=${3:-build}
# Debian's flags name the folder of the source: with OBJECTS it is the same one each time, as other flags
# would compile everything again.
work=${3:+$3.source}
work=${work:-$(mktemp -d)}
trap 'rm -rf "$work"' EXIT
rm -rf "$work"

mkdir -p "$work/camcast"
cd "$here/../.."
cp -a Makefile LICENSE README.md config.ini src include wrapper bench docs examples "$work/camcast/"
cd "$work/camcast"
mv src/system/debian debian
sed "s/@VERSION@/$version/; s/@DATE@/$(date -R -r LICENSE)/" debian/changelog.in >debian/changelog
rm debian/changelog.in
# -d: a compiler is enough, without the metapackage build-essential.
DEB_BUILD_OPTIONS="noautodbgsym parallel=$(nproc)" CAMCAST_OBJECTS=$objects \
	dpkg-buildpackage -us -uc -b -d ${ARCH:+-a"$ARCH"}
cp "$work"/camcast_*.deb "$folder/"
