#include "distribution.hpp"

#include <algorithm>
#include <cmath>

#include "status.hpp"

namespace agepred::core {

void softmax(std::span<const float> logits, float temperature, std::span<float> probabilities) {
    float largest = -INFINITY;
    for (const float logit : logits) {
        if (!std::isfinite(logit)) {
            throw Error(AGEPRED_INFERENCE_FAILED, "the age model gave a number that is not finite");
        }
        largest = std::max(largest, logit);
    }
    double sum = 0;
    for (std::size_t i = 0; i < logits.size(); ++i) {
        // The largest exponent is 0, so that nothing overflows.
        probabilities[i] = std::exp((logits[i] - largest) / temperature);
        sum += probabilities[i];
    }
    for (float &probability : probabilities) {
        probability = static_cast<float>(probability / sum);
    }
}

float quantile(std::span<const float> probabilities, int first_age, double share) {
    const double last_age = first_age + static_cast<double>(probabilities.size()) - 1;
    double before = 0;
    for (std::size_t i = 0; i < probabilities.size(); ++i) {
        const double here = probabilities[i];
        if (here > 0 && before + here >= share) {
            const double year = first_age + static_cast<double>(i);
            const double age = year - 0.5 + (share - before) / here;
            return static_cast<float>(std::clamp(age, static_cast<double>(first_age), last_age));
        }
        before += here;
    }
    return static_cast<float>(last_age); // rounding left the sum a little short of the share
}

Estimate summarize(std::span<const float> probabilities, int first_age, float level, std::span<const AgeGroup> groups) {
    double mean = 0;
    for (std::size_t i = 0; i < probabilities.size(); ++i) {
        mean += probabilities[i] * (first_age + static_cast<double>(i));
    }
    double variance = 0;
    for (std::size_t i = 0; i < probabilities.size(); ++i) {
        const double distance = first_age + static_cast<double>(i) - mean;
        variance += probabilities[i] * distance * distance;
    }
    int likeliest = 0;
    double most = -1;
    for (std::size_t g = 0; g < groups.size(); ++g) {
        double mass = 0;
        for (std::size_t i = 0; i < probabilities.size(); ++i) {
            const int age = first_age + static_cast<int>(i);
            mass += age >= groups[g].first && age <= groups[g].last ? probabilities[i] : 0.0F;
        }
        if (mass > most) {
            most = mass;
            likeliest = static_cast<int>(g);
        }
    }
    const double tail = (1.0 - level) / 2.0;
    return {static_cast<float>(mean), static_cast<float>(std::sqrt(variance)), quantile(probabilities, first_age, tail),
            quantile(probabilities, first_age, 1.0 - tail), likeliest};
}

} // namespace agepred::core
