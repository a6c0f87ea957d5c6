#!/bin/sh
# Prints the files that are named as C: a compressed array of each, and the table of page.h. Scripts
# and style sheets are served without their comments (strip.sed) and without blanks at punctuation;
# in style sheets it stands in none of their texts, in scripts squeeze.awk knows what is a text.
set -eu
folder=$(dirname "$0")
strip=$folder/strip.sed

echo '/* Made by src/daemon/api/embed.sh. */'
echo '#include "daemon/api/page.h"'
n=0
for file; do
	echo "static const unsigned char file_${n}[] = {"
	case $file in
	*.js) sed -E -f "$strip" "$file" | LC_ALL=C awk -f "$folder/squeeze.awk" ;;
	*.css) sed -E -f "$strip" "$file" | tr '\n' ' ' | sed -E 's/ *([{}:;,>]) */\1/g' ;;
	*) cat "$file" ;;
	esac | gzip -9nc | od -An -v -tx1 | sed 's/ \(..\)/0x\1,/g'
	echo '};'
	n=$((n + 1))
done
echo 'const struct page_file page_files[] = {'
n=0
for file; do
	echo "	{\"${file##*/}\", file_$n, sizeof file_$n},"
	n=$((n + 1))
done
echo '};'
echo 'const size_t n_page_files = sizeof page_files / sizeof *page_files;'
