# Removes the blanks and the ends of lines that JavaScript without comments and indentation
# (strip.sed) does not need: those beside punctuation. In the page's scripts each statement ends with
# a semicolon or a block, so that an end of a line means no more than a blank does. What is left is
# the same program. Texts, templates and regular expressions stay as they are. Used by embed.sh.

function is_punctuation(text)
{
	return text != "" && index("{}[]():;,<>=?&|!.+-*/'`", text) > 0
}

# Whether something between two characters keeps them apart: names, or signs that would be another.
function apart(before, behind)
{
	return before == behind && index("+-/", before) || !is_punctuation(before) && !is_punctuation(behind)
}

function put(text)
{
	if (blank != "" && last != "" && apart(last, text))
		printf "%s", blank
	printf "%s", text
	last = text
	blank = ""
}

{
	for (i = 1; i <= length($0); i++) {
		c = substr($0, i, 1)
		if (c == " " && !quote) {
			blank = c
			continue
		}
		put(c)
		if (quote && c == "\\")
			put(substr($0, ++i, 1))
		else if (quote)
			quote = c == quote ? "" : quote
		else if (c == "'" || c == "\"" || c == "`" || c == "/" && before_expression)
			quote = c
		before_expression = index("([,=:?!&|;{}", c) > 0
	}
	if (quote)
		put("\n")
	else
		blank = "\n"
}

END {
	print ""
}
