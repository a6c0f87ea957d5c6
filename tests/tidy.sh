#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# tidy.sh FILE FLAGS...: runs clang-tidy on a file that is compiled with these flags. A file that has
# passed is not analysed again until its text, that of a header, or a setting changes. The marks of
# files that have passed are kept in ~/.cache/camcast-tidy. TIDY_VERSION is what `clang-tidy --version`
# says, which takes longer than all else for a file that has passed.
set -euo pipefail
file=$1
shift
cache=${XDG_CACHE_HOME:-$HOME/.cache}/camcast-tidy
# With comments, as these can switch checks off (NOLINT).
text=$(cc -E -C "$@" "$file")
key=$({ echo "${TIDY_VERSION:-$(clang-tidy --version)}"; cat .clang-tidy; echo "$file $*"; echo "$text"; } | sha256sum)
mark=$cache/${key%% *}
[ ! -e "$mark" ] || exec touch "$mark"
clang-tidy --quiet "$file" -- "$@"
mkdir -p "$cache"
touch "$mark"
