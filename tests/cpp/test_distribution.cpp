// Logits to answers, on distributions whose answers are known.
#include "distribution.hpp"

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "check.hpp"
#include "status.hpp"

using namespace agepred::core;

namespace {

const std::vector<AgeGroup> groups = {{0, 25}, {26, 50}, {51, 75}, {76, 116}};

void test_softmax() {
    const std::vector<float> logits = {1000.0F, 999.0F, -1000.0F}; // would overflow without care
    std::vector<float> p(3);
    softmax(logits, 1.0F, p);
    CHECK(check::near(p[0], 1 / (1 + std::exp(-1.0)), 1e-6));
    CHECK(check::near(std::accumulate(p.begin(), p.end(), 0.0), 1, 1e-6));
    std::vector<float> flat(3);
    softmax(logits, 100.0F, flat);
    CHECK(flat[0] < p[0] && flat[1] > p[1]);
    for (const float odd : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
        const std::vector<float> bad = {0.0F, odd};
        std::vector<float> out(2);
        CHECK(check::throws<Error>([&] { softmax(bad, 1.0F, out); },
                                   [](const Error &error) { return error.status() == AGEPRED_INFERENCE_FAILED; }));
    }
}

void test_one_age() {
    std::vector<float> p(117, 0.0F);
    p[40] = 1.0F;
    const Estimate estimate = summarize(p, 0, 0.8F, groups);
    CHECK(estimate.age == 40 && estimate.stddev == 0 && estimate.group == 1);
    // All of it lies between 39.5 and 40.5, so a tenth of it below 39.6.
    CHECK(check::near(estimate.low, 39.6, 1e-5) && check::near(estimate.high, 40.4, 1e-5));
}

void test_normal() {
    std::vector<float> p(117);
    double sum = 0;
    for (std::size_t i = 0; i < p.size(); ++i) {
        p[i] = static_cast<float>(std::exp(-std::pow((static_cast<double>(i) - 50) / 8, 2) / 2));
        sum += p[i];
    }
    for (float &probability : p) {
        probability = static_cast<float>(probability / sum);
    }
    const Estimate estimate = summarize(p, 0, 0.8F, groups);
    CHECK(check::near(estimate.age, 50, 1e-3));
    CHECK(check::near(estimate.stddev, 8, 1e-2));
    // The normal distribution's 10 % and 90 % points lie 1.2816 deviations from its mean.
    CHECK(check::near(estimate.low, 50 - 1.2816 * 8, 0.05) && check::near(estimate.high, 50 + 1.2816 * 8, 0.05));
}

void test_quantiles_are_ordered_and_bounded() {
    const std::vector<float> ends = {0.5F, 0.0F, 0.5F};
    float before = quantile(ends, 10, 0.0);
    CHECK(before == 10);
    for (int i = 1; i <= 100; ++i) {
        const float now = quantile(ends, 10, i / 100.0);
        CHECK(now >= before && now <= 12);
        before = now;
    }
    const std::vector<float> short_of_one = {0.3F, 0.3F};
    CHECK(quantile(short_of_one, 0, 1.0) == 1);
}

void test_group_is_the_one_with_the_largest_sum() {
    std::vector<float> p(117, 0.0F);
    p[25] = 0.4F; // the likeliest single year lies in the first group
    for (std::size_t age = 26; age < 38; ++age) {
        p[age] = 0.05F;
    }
    CHECK(summarize(p, 0, 0.8F, groups).group == 1);
}

const LeveledOffsets known = {
    {0.5F, 0.9F}, {{{20.0F, 60.0F}, {1.0F, 2.0F}, {0.0F, 4.0F}}, {{20.0F, 60.0F}, {3.0F, 6.0F}, {-2.0F, 8.0F}}}};

void test_offsets_of_a_level() {
    CHECK(offsets_at({}, 0.8F).ages.empty());
    const auto check = [](float level, float low, float high) {
        const IntervalOffsets at = offsets_at(known, level);
        CHECK(at.ages == known.offsets[0].ages);
        CHECK(check::near(at.low[1], low, 1e-5) && check::near(at.high[1], high, 1e-5));
    };
    check(0.5F, 2, 4);
    check(0.9F, 6, 8);
    check(0.7F, 4, 6);
    check(0.25F, 1, 2); // nothing is moved at level 0
    check(0.95F, 6, 8);
}

Estimate of_one_age(int age, const IntervalOffsets &offsets) {
    std::vector<float> p(117, 0.0F);
    p[static_cast<std::size_t>(age)] = 1.0F;
    return summarize(p, 0, 0.8F, groups, offsets);
}

void test_offsets_move_the_ends() {
    const IntervalOffsets &offsets = known.offsets[1];
    const auto check = [&](int age, double low, double high) {
        const Estimate moved = of_one_age(age, offsets);
        const Estimate plain = of_one_age(age, {});
        CHECK(moved.age == plain.age && moved.stddev == plain.stddev && moved.group == plain.group);
        CHECK(check::near(moved.low, low, 1e-4) && check::near(moved.high, high, 1e-4));
    };
    check(60, 59.6 - 6, 60.4 + 8);
    check(40, 39.6 - 4.5, 40.4 + 3);
    check(90, 89.6 - 6, 90.4 + 8); // beyond the last age
    check(20, 19.6 - 3, 20.4 - 2);
}

void test_ends_stay_within_the_ages_and_in_order() {
    CHECK(of_one_age(1, known.offsets[1]).low == 0);
    CHECK(of_one_age(114, known.offsets[1]).high == 116);
    const IntervalOffsets inward = {{0.0F}, {-50.0F}, {-50.0F}};
    const Estimate crossed = of_one_age(58, inward);
    CHECK(crossed.low == crossed.high && check::near(crossed.low, 58, 1e-4));
}

} // namespace

int main() {
    test_softmax();
    test_one_age();
    test_normal();
    test_quantiles_are_ordered_and_bounded();
    test_group_is_the_one_with_the_largest_sum();
    test_offsets_of_a_level();
    test_offsets_move_the_ends();
    test_ends_stay_within_the_ages_and_in_order();
    return check::result();
}
