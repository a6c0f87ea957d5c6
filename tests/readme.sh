#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# README.ko.md is README.md in Korean: the same commands, settings, pictures and references in the
# same order, whatever the words and comments around them; and nothing referred to is missing.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# What is inside ``` fences, by the language that they name, without comments.
blocks() {
	awk '/^```/ { inside = !inside; print; next } inside' "$1" |
		sed -E '/^```/! s/(^|[[:space:]]+)[#;][[:space:]].*//'
}

# Code and paths in the text: what stands between backquotes outside of fences, and what links lead
# to. Sorted, as Korean has another order of words.
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

for file in README.md README.ko.md; do
	while read -r target; do
		[[ $target == http* || -e $target ]] || { echo "$file: no $target" && bad=1; }
	done < <(grep -oE '\]\([^)#]+' "$file" | cut -c3-)
done
exit $bad
