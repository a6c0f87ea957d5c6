/* SPDX-License-Identifier: BSD-2-Clause */
#include "wrapper/controls.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <vector>

#include <strings.h>

#include <libcamera/control_ids.h>
#include <libcamera/geometry.h>

using namespace libcamera;

namespace
{

/* --- properties of controls that only newer versions of libcamera report --- */

constexpr size_t any_size = std::numeric_limits<size_t>::max();

/* Number of elements; 0: no array; any_size: any number. */
template <typename Id>
auto array_size(const Id &id, const ControlInfo &, int) -> decltype(id.size())
{
	return id.size();
}

template <typename Id> size_t array_size(const Id &id, const ControlInfo &info, long)
{
	static const std::map<std::string, size_t> known = {
		{"ColourGains", 2},	  {"ColourCorrectionMatrix", 9}, {"FrameDurationLimits", 2},
		{"SensorBlackLevels", 4}, {"AfWindows", any_size},
	};
	auto it = known.find(id.name());

	if (it != known.end())
		return it->second;
	return info.def().isArray() ? any_size : 0;
}

template <typename Id>
auto value_names(const Id &id, int) -> std::decay_t<decltype(id.enumerators())>
{
	return id.enumerators();
}

template <typename Id> std::map<int32_t, std::string> value_names(const Id &, long)
{
	return {};
}

/* --- values --- */

const char *type_name(ControlType type)
{
	switch (type) {
	case ControlTypeBool:
		return "bool";
	case ControlTypeByte:
		return "byte";
	case ControlTypeInteger32:
		return "int32";
	case ControlTypeInteger64:
		return "int64";
	case ControlTypeFloat:
		return "float";
	case ControlTypeRectangle:
		return "rectangle";
	case ControlTypeSize:
		return "size";
	default:
		return "of a type that camcast cannot set";
	}
}

/* Numbers separated by commas, spaces or `x`; all of text must be such. */
bool parse_numbers(const char *text, std::vector<double> &out)
{
	const char *p = text + strspn(text, " ");

	while (*p) {
		char *end;
		double number = strtod(p, &end);

		if (end == p || !std::isfinite(number))
			return false;
		out.push_back(number);
		p = end + strspn(end, " ");
		if (*p == ',' || *p == 'x') {
			p += 1 + strspn(p + 1, " ");
			if (!*p)
				return false;
		} else if (*p && p == end) {
			return false;
		}
	}
	return !out.empty();
}

bool parse_bool(const char *text, bool &out)
{
	static const std::map<std::string, bool> words = {
		{"true", true},	  {"yes", true}, {"on", true},	 {"1", true},
		{"false", false}, {"no", false}, {"off", false}, {"0", false},
	};

	for (auto const &[word, value] : words) {
		if (!strcasecmp(word.c_str(), text)) {
			out = value;
			return true;
		}
	}
	return false;
}

/* A whole number of T's range. 2^63 is a double, the largest int64_t is not: hence the `<`. */
template <typename T> bool to_integer(double number, T &out)
{
	const double end = std::ldexp(1.0, std::numeric_limits<T>::digits);

	if (number != std::floor(number) || number >= end ||
	    number < (double)std::numeric_limits<T>::min())
		return false;
	out = (T)number;
	return true;
}

bool to_element(double number, uint8_t &out)
{
	return to_integer(number, out);
}
bool to_element(double number, int32_t &out)
{
	return to_integer(number, out);
}
bool to_element(double number, int64_t &out)
{
	return to_integer(number, out);
}
bool to_element(double number, float &out)
{
	out = (float)number;
	return std::isfinite(out);
}

/* libcamera clamps the first control itself; for the others 0 means automatic if the camera has no
 * mode control for that. */
bool range_applies(const ControlId &id, double number)
{
	if (id.name() == "FrameDurationLimits")
		return false;
	return number != 0 || (id.name() != "ExposureTime" && id.name() != "AnalogueGain");
}

template <typename T> bool in_range(const ControlId &id, const ControlInfo &info, T value)
{
	const ControlValue &min = info.min(), &max = info.max();

	if (!info.values().empty() || min.type() != id.type() || max.type() != id.type() ||
	    min.isArray() || max.isArray() || !range_applies(id, (double)value))
		return true;
	return value >= min.get<T>() && value <= max.get<T>();
}

template <typename T>
int set_numbers(const ControlId &id, const ControlInfo &info, const std::vector<double> &numbers,
		bool array, ControlValue &out, std::string &why)
{
	std::vector<T> values(numbers.size());

	for (size_t i = 0; i < numbers.size(); i++) {
		if (!to_element(numbers[i], values[i])) {
			why = std::string("is ") + type_name(id.type()) + ", not " +
			      std::to_string(numbers[i]);
			return -EINVAL;
		}
		if (!in_range(id, info, values[i])) {
			why = "must be from " + info.min().toString() + " to " +
			      info.max().toString();
			return -ERANGE;
		}
	}
	if (array)
		out.set(Span<const T>(values.data(), values.size()));
	else
		out.set(values[0]);
	return 0;
}

Rectangle to_rectangle(const double *n)
{
	return Rectangle((int)n[0], (int)n[1], (unsigned int)n[2], (unsigned int)n[3]);
}

/* Whole numbers that fit an int, widths and heights not negative. */
bool are_rectangles(const std::vector<double> &numbers)
{
	for (size_t i = 0; i < numbers.size(); i++) {
		int32_t whole;

		if (!to_integer(numbers[i], whole) || (i % 4 >= 2 && whole < 0))
			return false;
	}
	return numbers.size() % 4 == 0;
}

int set_rectangles(const std::vector<double> &numbers, bool array, ControlValue &out,
		   std::string &why)
{
	if (!are_rectangles(numbers) || (!array && numbers.size() != 4)) {
		why = "is a rectangle: x,y,width,height in whole pixels";
		return -EINVAL;
	}
	if (!array) {
		out.set(to_rectangle(numbers.data()));
		return 0;
	}

	std::vector<Rectangle> rectangles;
	for (size_t i = 0; i < numbers.size(); i += 4)
		rectangles.push_back(to_rectangle(&numbers[i]));
	out.set(Span<const Rectangle>(rectangles.data(), rectangles.size()));
	return 0;
}

int set_size(const std::vector<double> &numbers, ControlValue &out, std::string &why)
{
	int32_t width, height;

	if (numbers.size() != 2 || !to_integer(numbers[0], width) ||
	    !to_integer(numbers[1], height) || width < 0 || height < 0) {
		why = "is a size: widthxheight";
		return -EINVAL;
	}
	out.set(Size((unsigned int)width, (unsigned int)height));
	return 0;
}

/* --- enumerations --- */

std::string list_values(const ControlInfo &info, const std::map<int32_t, std::string> &names)
{
	std::string list;

	for (auto const &value : info.values()) {
		auto name = value.type() == ControlTypeInteger32 && !value.isArray()
				    ? names.find(value.get<int32_t>())
				    : names.end();

		list += (list.empty() ? "" : ", ") + value.toString();
		if (name != names.end())
			list += " (" + name->second + ")";
	}
	return list;
}

bool allows(const ControlInfo &info, const ControlValue &value)
{
	return info.values().empty() ||
	       std::find(info.values().begin(), info.values().end(), value) != info.values().end();
}

} // namespace

int control_parse(const ControlId &id, const ControlInfo &info, const char *text, ControlValue &out,
		  std::string &why)
{
	const size_t size = array_size(id, info, 0);
	std::vector<double> numbers;
	bool on;
	int rc;

	for (auto const &[number, name] : value_names(id, 0))
		if (!strcasecmp(name.c_str(), text))
			numbers = {(double)number};
	if (id.type() == ControlTypeBool && !size) {
		if (!parse_bool(text, on)) {
			why = "is true or false";
			return -EINVAL;
		}
		out.set(on);
	} else {
		if (numbers.empty() && !parse_numbers(text, numbers)) {
			why = std::string("is ") + type_name(id.type()) + ", not \"" + text + "\"";
			if (!info.values().empty())
				why += "; one of " + list_values(info, value_names(id, 0));
			return -EINVAL;
		}
		/* a number of rectangles is four times as many numbers */
		const size_t each = id.type() == ControlTypeRectangle ? 4 : 1;
		if (id.type() != ControlTypeSize && size != any_size &&
		    numbers.size() != (size ? size : 1) * each) {
			why = "takes " + std::to_string((size ? size : 1) * each) +
			      " numbers, not " + std::to_string(numbers.size());
			return -EINVAL;
		}
		switch (id.type()) {
		case ControlTypeByte:
			rc = set_numbers<uint8_t>(id, info, numbers, size, out, why);
			break;
		case ControlTypeInteger32:
			rc = set_numbers<int32_t>(id, info, numbers, size, out, why);
			break;
		case ControlTypeInteger64:
			rc = set_numbers<int64_t>(id, info, numbers, size, out, why);
			break;
		case ControlTypeFloat:
			rc = set_numbers<float>(id, info, numbers, size, out, why);
			break;
		case ControlTypeRectangle:
			rc = set_rectangles(numbers, size, out, why);
			break;
		case ControlTypeSize:
			rc = set_size(numbers, out, why);
			break;
		default:
			why = type_name(id.type());
			rc = -EINVAL;
		}
		if (rc)
			return rc;
	}
	if (!size && !allows(info, out)) {
		why = "must be one of " + list_values(info, value_names(id, 0));
		return -ERANGE;
	}
	return 0;
}

void controls_print(const ControlInfoMap &infos, FILE *out)
{
	std::map<std::string, std::string> lines;

	for (auto const &[id, info] : infos) {
		const size_t size = array_size(*id, info, 0);
		std::string line = type_name(id->type());

		if (size)
			line += size == any_size ? "[]" : "[" + std::to_string(size) + "]";
		if (!info.values().empty())
			line += ": " + list_values(info, value_names(*id, 0));
		else
			line += " " + info.min().toString() + " to " + info.max().toString();
		if (!info.def().isNone())
			line += ", default " + info.def().toString();
		lines[id->name()] = line;
	}
	fprintf(out, "  controls:%s\n", lines.empty() ? " none" : "");
	for (auto const &[name, line] : lines)
		fprintf(out, "    %s %s\n", name.c_str(), line.c_str());
}
