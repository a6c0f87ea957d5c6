# Removes comments and indentation from JavaScript and CSS; what is left is the same program. A
# comment stands on lines of its own, or behind blanks at the end of a line: neither may look so
# inside of a text. Used by embed.sh.
/^[ \t]*\/\*.*\*\/[ \t]*$/d
/^[ \t]*\/\*/,/\*\//d
s/^[ \t]+//
/^\/\/( |$)/d
s/[ \t]+\/\/ .*$//
/^$/d
