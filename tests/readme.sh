#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Checks that README.ko.md follows README.md: both have the same commands, settings, pictures and
# references. Commands and settings stand in the same order; their comments may differ.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Prints the code blocks of a page without their comments.
blocks() {
	awk '/^```/ { inside = !inside; print; next } inside' "$1" |
		sed -E '/^```/! s/(^|[[:space:]]+)[#;][[:space:]].*//'
}

# Prints the inline code and the targets of links of a page, sorted, because the order of words
# differs in Korean.
references() {
	awk '/^```/ { inside = !inside; next } !inside' "$1" |
		grep -oE '`[^`]+`|\]\([^)]+\)' | grep -vE '^\]\(README(\.ko)?\.md\)$' | sort
}

bad=0
for file in README.md README.ko.md; do
	blocks $file >"$folder/blocks-$file"
	references $file >"$folder/references-$file"
done
for what in blocks references; do
	if ! diff -u "$folder/$what-README.md" "$folder/$what-README.ko.md"; then
		echo "README.ko.md: its $what differ from those of README.md"
		bad=1
	fi
	[ -s "$folder/$what-README.md" ] || { echo "README.md: no $what" && bad=1; }
done
exit $bad
