// What an age model's file says of itself: the metadata keys of docs/model_contract.md, read and checked.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "align.hpp"
#include "distribution.hpp"

namespace agepred::core {

inline constexpr float min_interval_level = 0.01F;
inline constexpr float max_interval_level = 0.999F;

struct AgeContract {
    std::string version;
    std::string crop_detector;
    Points crop_points;
    bool int8_exact;
    int first_age;
    float temperature;
    float interval_level;
    std::vector<AgeGroup> groups;
};

// Looks a metadata key up; nothing where the file lacks it.
using MetadataLookup = std::function<std::optional<std::string>(const char *key)>;

// Reads the keys of an age model. Throws Error(INVALID_MODEL) that names the key that is missing or wrong.
AgeContract read_age_contract(const MetadataLookup &lookup);

} // namespace agepred::core
