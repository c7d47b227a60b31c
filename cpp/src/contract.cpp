#include "contract.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <functional>
#include <string_view>
#include <utility>

#include "status.hpp"

namespace agepred::core {
namespace {

constexpr std::size_t max_offsets = 64; // levels, and ages
constexpr float max_offset = 100.0F;    // years

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

template <class Number> Number number(const MetadataLookup &lookup, const char *key, Number low, Number high) {
    return number<Number>(key, required(lookup, key), low, high);
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
    // The right eye and the left corner of the mouth: where even they coincide, nothing can be cut by these points.
    if (std::hypot(points[0] - points[8], points[1] - points[9]) < 0.01F) {
        refuse(key, "puts the points in one place");
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

// Numbers between commas, as many as asked for; 0: at least one.
std::vector<float> read_row(const char *key, std::string_view text, float low, float high, std::size_t count = 0) {
    std::vector<float> row;
    for (const std::string_view part : split(text, ',')) {
        row.push_back(number(key, part, low, high));
    }
    if (row.size() > max_offsets || (count != 0 && row.size() != count)) {
        refuse(key, "lists " + std::to_string(row.size()) + " numbers in a row");
    }
    return row;
}

std::vector<float> read_ascending(const char *key, std::string_view text, float low, float high) {
    std::vector<float> row = read_row(key, text, low, high);
    if (std::ranges::adjacent_find(row, std::greater_equal{}) != row.end()) {
        refuse(key, "is not ascending");
    }
    return row;
}

// The optional keys of an interval's offsets: all of them or none.
LeveledOffsets read_offsets(const MetadataLookup &lookup) {
    constexpr const char *levels = "agepred.interval.levels";
    constexpr const char *ages = "agepred.interval.ages";
    constexpr const char *low = "agepred.interval.low";
    constexpr const char *high = "agepred.interval.high";
    LeveledOffsets result;
    if (std::ranges::none_of(std::array{levels, ages, low, high},
                             [&](const char *key) { return lookup(key).has_value(); })) {
        return result;
    }
    result.levels = read_ascending(levels, required(lookup, levels), min_interval_level, max_interval_level);
    const std::vector<float> knots = read_ascending(ages, required(lookup, ages), 0.0F, 1000.0F);
    const std::string lows = required(lookup, low);
    const std::string highs = required(lookup, high);
    const auto low_rows = split(lows, ';');
    const auto high_rows = split(highs, ';');
    for (const auto &[key, rows] : {std::pair{low, &low_rows}, std::pair{high, &high_rows}}) {
        if (rows->size() != result.levels.size()) {
            refuse(key, "does not have a row for each level");
        }
    }
    for (std::size_t i = 0; i < result.levels.size(); ++i) {
        result.offsets.push_back({knots, read_row(low, low_rows[i], -max_offset, max_offset, knots.size()),
                                  read_row(high, high_rows[i], -max_offset, max_offset, knots.size())});
    }
    return result;
}

void read_common(const MetadataLookup &lookup, const std::string &task, ModelContract &contract) {
    if (const std::string format = required(lookup, "agepred.format"); format != "1") {
        refuse("agepred.format", "is " + format + ": this release reads format 1; a newer one is needed");
    }
    if (const std::string named = required(lookup, "agepred.task"); named != task) {
        refuse("agepred.task", "is " + named + ", not " + task);
    }
    contract.version = required(lookup, "agepred.version");
    required(lookup, "agepred.record"); // not used here; without it a model's origin cannot be told
    contract.int8_exact = number(lookup, "agepred.exact", 0, 1) == 1;
}

void read_crop(const MetadataLookup &lookup, CropContract &contract) {
    contract.crop_points = read_points("agepred.crop.points", required(lookup, "agepred.crop.points"));
    contract.crop_detector = required(lookup, "agepred.crop.detector");
}

} // namespace

AgeContract read_age_contract(const MetadataLookup &lookup) {
    AgeContract contract;
    read_common(lookup, "age", contract);
    read_crop(lookup, contract);
    contract.first_age = number(lookup, "agepred.age.first", 0, 1000);
    contract.temperature = number(lookup, "agepred.temperature", 0.01F, 100.0F);
    contract.groups = read_groups("agepred.groups", required(lookup, "agepred.groups"));
    constexpr const char *level = "agepred.interval.level";
    contract.interval_level = number(level, lookup(level).value_or("0.8"), min_interval_level, max_interval_level);
    contract.interval_offsets = read_offsets(lookup);
    return contract;
}

FeatureGrid read_feature_grid(const MetadataLookup &lookup) {
    return {number(lookup, "agepred.features.first", -1024.0F, 1024.0F),
            number(lookup, "agepred.features.step", 1.0F, 1024.0F)};
}

FaceContract read_face_contract(const MetadataLookup &lookup) {
    FaceContract contract;
    read_common(lookup, "face", contract);
    contract.min_score = number(lookup, "agepred.face.min_score", 0.01F, 0.99F);
    contract.smallest = number(lookup, "agepred.face.smallest", 4.0F, 256.0F);
    contract.largest = number(lookup, "agepred.face.largest", std::max(64.0F, contract.smallest), 4096.0F);
    return contract;
}

PointsContract read_points_contract(const MetadataLookup &lookup) {
    PointsContract contract;
    read_common(lookup, "points", contract);
    read_crop(lookup, contract);
    constexpr const char *passes = "agepred.points.passes";
    contract.passes = number(passes, lookup(passes).value_or("1"), 1, 4);
    return contract;
}

} // namespace agepred::core
