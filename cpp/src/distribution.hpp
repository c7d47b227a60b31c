// Logits to answers: a distribution over ages, one class a year, and what is read from it. Pure functions.
#pragma once

#include <span>
#include <vector>

namespace agepred::core {

struct AgeGroup {
    int first; // years, both included
    int last;
};

struct Estimate {
    float age;    // mean, years
    float stddev; // years
    float low;    // the central interval that holds the asked share of the distribution
    float high;
    int group; // index of the likeliest group
};

// How far the ends of an interval are moved outward, by the answered age: years, negative inward. Between two ages they
// are interpolated, beyond the first and the last they stay. Empty: not at all.
struct IntervalOffsets {
    std::vector<float> ages; // ascending; as many as low and high
    std::vector<float> low;
    std::vector<float> high;
};

// The offsets of several levels, which are ascending; offsets of equal ages. Empty: none.
struct LeveledOffsets {
    std::vector<float> levels;
    std::vector<IntervalOffsets> offsets; // one a level
};

// The offsets of a level, interpolated between the known ones; none at level 0, those of the last known level beyond
// it.
IntervalOffsets offsets_at(const LeveledOffsets &known, float level);

// Probabilities of ages from logits, sharpened or flattened by the temperature (> 0). Spans of equal size.
// Throws Error(INFERENCE_FAILED) for logits that are not finite.
void softmax(std::span<const float> logits, float temperature, std::span<float> probabilities);

// The age at which a share of the distribution, 0 to 1, is reached. The probability of a year lies evenly between
// half a year before and half a year after it; no answer lies outside the first and last age.
float quantile(std::span<const float> probabilities, int first_age, double share);

// All answers. level: share of the distribution that [low, high] holds before the offsets move its ends, between 0 and
// 1, both tails equal; no end leaves the first and last age, or passes the other end.
Estimate summarize(std::span<const float> probabilities, int first_age, float level, std::span<const AgeGroup> groups,
                   const IntervalOffsets &offsets = {});

} // namespace agepred::core
