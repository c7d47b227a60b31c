// Properties of the alignment; tests/python/test_align.py compares pixels with an independent implementation.
#include "align.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include "agepred/agepred.hpp"
#include "check.hpp"
#include "status.hpp"

using namespace agepred::core;

namespace {

// A picture whose red is x and whose green is y: a crop then tells where each of its pixels came from.
struct Ramp {
    std::vector<std::uint8_t> pixels;
    agepred_image image;
    Ramp(int width, int height) : pixels(static_cast<std::size_t>(3 * width * height)) {
        for (int y = 0; y < height; ++y) {
            for (int x = 0; x < width; ++x) {
                std::uint8_t *pixel = &pixels[static_cast<std::size_t>(3 * (y * width + x))];
                pixel[0] = static_cast<std::uint8_t>(x);
                pixel[1] = static_cast<std::uint8_t>(y);
            }
        }
        image = agepred::image(pixels.data(), width, height, AGEPRED_RGB);
    }
};

// The targets moved into a picture: scaled, turned by an angle, shifted.
Points moved(double scale, double angle, double x, double y) {
    Points points{};
    for (std::size_t i = 0; i < points.size(); i += 2) {
        const double u = default_targets[i] * scale;
        const double v = default_targets[i + 1] * scale;
        points[i] = static_cast<float>(std::cos(angle) * u - std::sin(angle) * v + x);
        points[i + 1] = static_cast<float>(std::sin(angle) * u + std::cos(angle) * v + y);
    }
    return points;
}

void test_recovers_the_similarity() {
    const Ramp ramp(200, 200);
    constexpr int side = 40;
    for (const double angle : {0.0, 0.3, -1.2, 3.0}) {
        for (const double scale : {20.0, 40.0, 60.0}) {
            std::vector<std::uint8_t> crop(3 * side * side);
            const Points points = moved(scale, angle, 100, 100);
            const Similarity found = align(view(&ramp.image), points, default_targets, side, crop.data());
            CHECK(check::near(found.scale(), scale, 1e-4));
            const Points back = found.apply(default_targets);
            for (std::size_t i = 0; i < points.size(); ++i) {
                CHECK(check::near(back[i], points[i], 1e-3));
            }
            for (const int u : {0, 7, 39}) {
                for (const int v : {0, 20, 39}) {
                    const double cu = (u + 0.5) / side * scale;
                    const double cv = (v + 0.5) / side * scale;
                    const double x = std::cos(angle) * cu - std::sin(angle) * cv + 100 - 0.5;
                    const double y = std::sin(angle) * cu + std::cos(angle) * cv + 100 - 0.5;
                    const std::uint8_t *pixel = &crop[static_cast<std::size_t>(3 * (v * side + u))];
                    CHECK(check::near(pixel[0], x, 0.51));
                    CHECK(check::near(pixel[1], y, 0.51));
                    CHECK(pixel[2] == 0);
                }
            }
        }
    }
}

bool refused(const Points &points, const Points &targets, int side) {
    const Ramp ramp(8, 8);
    std::vector<std::uint8_t> crop(3 * 1024 * 1024);
    return check::throws<Error>([&] { align(view(&ramp.image), points, targets, side, crop.data()); },
                                [](const Error &error) { return error.status() == AGEPRED_INVALID_ARGUMENT; });
}

void test_refuses_what_defines_no_crop() {
    const Points good = moved(10, 0, 0, 0);
    CHECK(!refused(good, default_targets, 1));
    CHECK(refused(good, default_targets, 0));
    CHECK(refused(good, default_targets, -5));
    CHECK(refused(good, default_targets, 1025));
    CHECK(refused(Points{}, default_targets, 8)); // all in one place
    CHECK(refused(good, Points{}, 8));
    for (const float odd : {std::nanf(""), std::numeric_limits<float>::infinity(), 1e30F}) {
        Points points = good;
        points[3] = odd;
        CHECK(refused(points, default_targets, 8));
        Points targets = default_targets;
        targets[0] = odd;
        CHECK(refused(good, targets, 8));
    }
}

// Far outside, the picture goes on as its own mirror image: no reading beyond it, no seam.
void test_mirror_far_outside() {
    const Ramp ramp(5, 3);
    constexpr int side = 16;
    std::vector<std::uint8_t> crop(3 * side * side);
    align(view(&ramp.image), moved(400, 0.5, -150, 90), default_targets, side, crop.data());
    for (std::size_t i = 0; i < crop.size(); i += 3) {
        CHECK(crop[i] <= 4 && crop[i + 1] <= 2);
    }
    const Ramp dot(1, 1);
    align(view(&dot.image), moved(10, 0, -3, 9), default_targets, side, crop.data());
    CHECK(crop[0] == 0 && crop.back() == 0);
}

void test_snapped() {
    const Points points = {0.0F, 0.124F, 0.126F, -0.124F, -0.126F, 3.25F, 100.4F, -7.9F, 0.49F, 1e6F};
    const Points expected = {0.0F, 0.0F, 0.25F, 0.0F, -0.25F, 3.25F, 100.5F, -8.0F, 0.5F, 1e6F};
    CHECK(snapped(points, 4) == expected);
}

} // namespace

int main() {
    test_snapped();
    test_recovers_the_similarity();
    test_refuses_what_defines_no_crop();
    test_mirror_far_outside();
    return check::result();
}
