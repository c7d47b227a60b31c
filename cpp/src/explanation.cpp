#include "explanation.hpp"

#include <algorithm>

namespace agepred::core {

void age_slopes(std::span<const float> probabilities, float temperature, std::span<const float> weights,
                std::span<float> slopes) {
    double mean = 0;
    for (std::size_t k = 0; k < probabilities.size(); ++k) {
        mean += static_cast<double>(probabilities[k]) * static_cast<double>(k);
    }
    std::ranges::fill(slopes, 0.0F);
    for (std::size_t k = 0; k < probabilities.size(); ++k) {
        // The derivative of the mean by logit k; the first age cancels out of the distance.
        const double distance = static_cast<double>(k) - mean;
        const auto pull = static_cast<float>(static_cast<double>(probabilities[k]) * distance / temperature);
        const std::span<const float> row = weights.subspan(k * slopes.size(), slopes.size());
        for (std::size_t c = 0; c < slopes.size(); ++c) {
            slopes[c] += pull * row[c];
        }
    }
}

void age_map(std::span<const float> slopes, std::span<const float> features, std::span<float> map) {
    std::ranges::fill(map, 0.0F);
    const float share = 1.0F / static_cast<float>(map.size());
    for (std::size_t c = 0; c < slopes.size(); ++c) {
        const std::span<const float> channel = features.subspan(c * map.size(), map.size());
        for (std::size_t i = 0; i < map.size(); ++i) {
            map[i] += share * slopes[c] * channel[i];
        }
    }
}

} // namespace agepred::core
