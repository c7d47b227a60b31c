// What a model's file says of itself: the metadata keys of docs/model_contract.md, read and checked.
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

// What every file says.
struct ModelContract {
    std::string version;
    bool int8_exact;
};

// What a model says that sees crops of faces.
struct CropContract : ModelContract {
    std::string crop_detector;
    Points crop_points;
};

struct PointsContract : CropContract {
    int passes; // how often it looks, each time at a crop cut by its last answer
};

// Where the cells of an age model's map of features lie in the crop.
struct FeatureGrid {
    float first; // center of the first cell, in pixels of the crop, both ways
    float step;  // pixels from a cell's center to the next one's
};

struct AgeContract : CropContract {
    int first_age;
    float temperature;
    float interval_level;
    LeveledOffsets interval_offsets;
    std::vector<AgeGroup> groups;
};

struct FaceContract : ModelContract {
    float min_score; // from which a box is called a face
    float smallest;  // side, in pixels of the network's input, of the smallest face that is found reliably
    float largest;   // side up to which a face is seen whole
};

// Looks a metadata key up; nothing where the file lacks it.
using MetadataLookup = std::function<std::optional<std::string>(const char *key)>;

// Read the keys of a model of that task. Throw Error(INVALID_MODEL) that names the key that is missing or wrong.
AgeContract read_age_contract(const MetadataLookup &lookup);
FaceContract read_face_contract(const MetadataLookup &lookup);
PointsContract read_points_contract(const MetadataLookup &lookup);

// Reads the keys that an age model must have that answers its features, too. Throws as above.
FeatureGrid read_feature_grid(const MetadataLookup &lookup);

} // namespace agepred::core
