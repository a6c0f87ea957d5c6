# Removes the blanks at punctuation from JavaScript without comments and indentation (strip.sed), and
# the ends of lines behind which a statement goes on or another begins; what is left is the same
# program. Texts, templates and regular expressions stay as they are. Used by embed.sh.

function put(text)
{
	printf "%s", text
	last = text
}

function is_punctuation(text)
{
	return text != "" && index("{}[]():;,<>=?&|\n", text) > 0
}

{
	for (i = 1; i <= length($0); i++) {
		c = substr($0, i, 1)
		if (c == " " && !quote && (is_punctuation(last) || is_punctuation(substr($0, i + 1, 1))))
			continue
		put(c)
		if (quote && c == "\\")
			put(substr($0, ++i, 1))
		else if (quote)
			quote = c == quote ? "" : quote
		else if (c == "'" || c == "\"" || c == "`" || c == "/" && before_expression)
			quote = c
		before_expression = c != "" && index("([,=:?!&|;{}", c) > 0
	}
	if (quote || index("{[(,;", last) == 0)
		put("\n")
}
