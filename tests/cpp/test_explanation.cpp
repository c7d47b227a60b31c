// Grad-CAM in closed form against derivatives by differences.
#include "explanation.hpp"

#include <vector>

#include "check.hpp"
#include "distribution.hpp"

using namespace agepred::core;

namespace {

constexpr std::size_t ages = 7;
constexpr std::size_t channels = 5;
constexpr std::size_t cells = 6;
constexpr float temperature = 1.7F;

std::vector<float> numbers(std::size_t count, std::uint32_t state) {
    std::vector<float> values(count);
    for (float &value : values) {
        state = state * 1664525U + 1013904223U; // Numerical Recipes' generator
        value = static_cast<float>(state >> 8U) / static_cast<float>(1U << 24U) - 0.5F;
    }
    return values;
}

const std::vector<float> weights = numbers(ages * channels, 1);

std::vector<float> probabilities_of(const std::vector<double> &means) {
    std::vector<float> logits(ages);
    for (std::size_t k = 0; k < ages; ++k) {
        double sum = 0;
        for (std::size_t c = 0; c < channels; ++c) {
            sum += means[c] * static_cast<double>(weights[k * channels + c]);
        }
        logits[k] = static_cast<float>(sum);
    }
    std::vector<float> probabilities(ages);
    softmax(logits, temperature, probabilities);
    return probabilities;
}

double mean_age(const std::vector<double> &means) {
    const std::vector<float> p = probabilities_of(means);
    double mean = 0;
    for (std::size_t k = 0; k < ages; ++k) {
        mean += static_cast<double>(p[k]) * static_cast<double>(k);
    }
    return mean;
}

void test_slopes_are_derivatives() {
    const std::vector<float> start = numbers(channels, 2);
    const std::vector<double> means(start.begin(), start.end());
    std::vector<float> slopes(channels);
    age_slopes(probabilities_of(means), temperature, weights, slopes);
    for (std::size_t c = 0; c < channels; ++c) {
        constexpr double step = 0.05;
        std::vector<double> more = means;
        std::vector<double> less = means;
        more[c] += step;
        less[c] -= step;
        CHECK(check::near(slopes[c], (mean_age(more) - mean_age(less)) / (2 * step), 2e-4));
    }
}

// A distribution that is sure of one age cannot be moved.
void test_certainty_has_no_reasons() {
    std::vector<float> certain(ages);
    certain[3] = 1;
    std::vector<float> slopes(channels, 9);
    age_slopes(certain, temperature, weights, slopes);
    for (const float slope : slopes) {
        CHECK(slope == 0);
    }
}

void test_cells_add_up_to_the_means() {
    const std::vector<float> slopes = numbers(channels, 3);
    const std::vector<float> features = numbers(channels * cells, 4);
    std::vector<float> map(cells, 9);
    age_map(slopes, features, map);
    double sum = 0;
    double expected = 0;
    for (const float cell : map) {
        sum += static_cast<double>(cell);
    }
    for (std::size_t i = 0; i < features.size(); ++i) {
        expected += static_cast<double>(slopes[i / cells]) * static_cast<double>(features[i]) / cells;
    }
    CHECK(check::near(sum, expected, 1e-6));
    double first = 0;
    for (std::size_t c = 0; c < channels; ++c) {
        first += static_cast<double>(slopes[c]) * static_cast<double>(features[c * cells]) / cells;
    }
    CHECK(check::near(map[0], first, 1e-6));
}

} // namespace

int main() {
    test_slopes_are_derivatives();
    test_certainty_has_no_reasons();
    test_cells_add_up_to_the_means();
    return check::result();
}
