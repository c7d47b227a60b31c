// Logits to answers: a distribution over ages, one class a year, and what is read from it. Pure functions.
#pragma once

#include <span>

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

// Probabilities of ages from logits, sharpened or flattened by the temperature (> 0). Spans of equal size.
// Throws Error(INFERENCE_FAILED) for logits that are not finite.
void softmax(std::span<const float> logits, float temperature, std::span<float> probabilities);

// The age at which a share of the distribution, 0 to 1, is reached. The probability of a year lies evenly between
// half a year before and half a year after it; no answer lies outside the first and last age.
float quantile(std::span<const float> probabilities, int first_age, double share);

// All answers. level: share of the distribution that [low, high] holds, between 0 and 1, both tails equal.
Estimate summarize(std::span<const float> probabilities, int first_age, float level, std::span<const AgeGroup> groups);

} // namespace agepred::core
