#include "contract.hpp"

#include <charconv>
#include <string_view>

#include "status.hpp"

namespace agepred::core {
namespace {

[[noreturn]] void refuse(const char *key, const std::string &why) {
    throw Error(AGEPRED_INVALID_MODEL, std::string("its metadata key ") + key + " " + why);
}

std::string required(const MetadataLookup &lookup, const char *key) {
    std::optional<std::string> value = lookup(key);
    if (!value) {
        refuse(key, "is missing: not a model of agepred (docs/model_contract.md)");
    }
    return *std::move(value);
}

// The whole text as a number within bounds; independent of the locale.
template <class Number> Number number(const char *key, std::string_view text, Number low, Number high) {
    Number value{};
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc{} || end != text.data() + text.size() || !(value >= low && value <= high)) {
        refuse(key, "has a part that it may not have: '" + std::string(text) + "'");
    }
    return value;
}

// The parts of a text between separators; an empty text has one empty part.
std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (;;) {
        const std::size_t at = text.find(separator);
        parts.push_back(text.substr(0, at));
        if (at == std::string_view::npos) {
            return parts;
        }
        text.remove_prefix(at + 1);
    }
}

Points read_points(const char *key, std::string_view text) {
    Points points{};
    const auto pairs = split(text, ';');
    if (pairs.size() != points.size() / 2) {
        refuse(key, "does not list five points");
    }
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        const auto coordinates = split(pairs[i], ',');
        if (coordinates.size() != 2) {
            refuse(key, "has a point that is not x,y");
        }
        points[2 * i] = number(key, coordinates[0], -1.0F, 2.0F);
        points[2 * i + 1] = number(key, coordinates[1], -1.0F, 2.0F);
    }
    return points;
}

std::vector<AgeGroup> read_groups(const char *key, std::string_view text) {
    std::vector<AgeGroup> groups;
    for (const std::string_view part : split(text, ',')) {
        const auto ends = split(part, '-');
        if (ends.size() != 2) {
            refuse(key, "has a group that is not first-last");
        }
        const int first = number(key, ends[0], 0, 1000);
        groups.push_back({first, number(key, ends[1], first, 1000)});
    }
    if (groups.size() > AGEPRED_MAX_GROUPS) {
        refuse(key, "lists more groups than there is room for");
    }
    return groups;
}

} // namespace

AgeContract read_age_contract(const MetadataLookup &lookup) {
    if (const std::string format = required(lookup, "agepred.format"); format != "1") {
        refuse("agepred.format", "is " + format + ": this release reads format 1; a newer one is needed");
    }
    if (const std::string task = required(lookup, "agepred.task"); task != "age") {
        refuse("agepred.task", "is " + task + ", not age");
    }
    AgeContract contract;
    contract.version = required(lookup, "agepred.version");
    required(lookup, "agepred.record"); // not used here; without it a model's origin cannot be told
    contract.int8_exact = number("agepred.exact", required(lookup, "agepred.exact"), 0, 1) == 1;
    contract.crop_points = read_points("agepred.crop.points", required(lookup, "agepred.crop.points"));
    contract.crop_detector = required(lookup, "agepred.crop.detector");
    contract.first_age = number("agepred.age.first", required(lookup, "agepred.age.first"), 0, 1000);
    contract.temperature = number("agepred.temperature", required(lookup, "agepred.temperature"), 0.01F, 100.0F);
    contract.groups = read_groups("agepred.groups", required(lookup, "agepred.groups"));
    constexpr const char *level = "agepred.interval.level";
    contract.interval_level = number(level, lookup(level).value_or("0.8"), min_interval_level, max_interval_level);
    return contract;
}

} // namespace agepred::core
