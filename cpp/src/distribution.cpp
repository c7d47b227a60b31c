#include "distribution.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "status.hpp"

namespace agepred::core {
namespace {

// Where a value lies between two of an ascending row: the index of the upper one, and its share; beyond the row one of
// its ends.
struct Place {
    std::size_t upper;
    float share;
};

Place place(std::span<const float> row, float value) {
    const auto above =
        static_cast<std::size_t>(std::distance(row.begin(), std::upper_bound(row.begin(), row.end(), value)));
    if (above == 0) {
        return {0, 1.0F};
    }
    if (above == row.size()) {
        return {row.size() - 1, 1.0F};
    }
    return {above, (value - row[above - 1]) / (row[above] - row[above - 1])};
}

float between(std::span<const float> values, Place at) {
    const float upper = values[at.upper];
    return at.share < 1 ? values[at.upper - 1] * (1 - at.share) + upper * at.share : upper;
}

std::vector<float> mixed(const std::vector<float> &one, const std::vector<float> &other, float share) {
    std::vector<float> out(one.size());
    for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] = one[i] * (1 - share) + other[i] * share;
    }
    return out;
}

} // namespace

IntervalOffsets offsets_at(const LeveledOffsets &known, float level) {
    if (known.levels.empty()) {
        return {};
    }
    const IntervalOffsets &first = known.offsets.front();
    if (level < known.levels.front()) {
        const std::vector<float> none(first.ages.size(), 0.0F);
        const float share = level / known.levels.front();
        return {first.ages, mixed(none, first.low, share), mixed(none, first.high, share)};
    }
    const Place at = place(known.levels, level);
    const IntervalOffsets &upper = known.offsets[at.upper];
    if (at.share == 1) {
        return upper;
    }
    const IntervalOffsets &lower = known.offsets[at.upper - 1];
    return {first.ages, mixed(lower.low, upper.low, at.share), mixed(lower.high, upper.high, at.share)};
}

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

Estimate summarize(std::span<const float> probabilities, int first_age, float level, std::span<const AgeGroup> groups,
                   const IntervalOffsets &offsets) {
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
    float low = quantile(probabilities, first_age, tail);
    float high = quantile(probabilities, first_age, 1.0 - tail);
    if (!offsets.ages.empty()) {
        const auto first = static_cast<float>(first_age);
        const float last = first + static_cast<float>(probabilities.size()) - 1;
        const Place at = place(offsets.ages, static_cast<float>(mean));
        low = std::clamp(low - between(offsets.low, at), first, last);
        high = std::clamp(high + between(offsets.high, at), first, last);
        if (low > high) {
            low = high = (low + high) / 2;
        }
    }
    return {static_cast<float>(mean), static_cast<float>(std::sqrt(variance)), low, high, likeliest};
}

} // namespace agepred::core
