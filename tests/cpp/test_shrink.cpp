// The shrinking kernel against the mean over areas in its plainest form.
#include "kernels/shrink.hpp"

#include <algorithm>
#include <random>
#include <type_traits>
#include <vector>

#include "check.hpp"

using namespace agepred::core::kernels;

namespace {

// Mean of a channel over a rectangle of real-valued corners, each source pixel weighted by its covered area.
double area_mean(const ShrinkSource &source, int channel, double left, double top, double right, double bottom) {
    double sum = 0;
    for (int y = 0; y < source.height; ++y) {
        for (int x = 0; x < source.width; ++x) {
            const double width = std::min(right, x + 1.0) - std::max(left, static_cast<double>(x));
            const double height = std::min(bottom, y + 1.0) - std::max(top, static_cast<double>(y));
            if (width > 0 && height > 0) {
                sum += width * height * source.pixels[y * source.stride + x * source.pixel_bytes + channel];
            }
        }
    }
    return sum / ((right - left) * (bottom - top));
}

template <class Pixel> void compare(int width, int height, int to_width, int to_height, int pixel_bytes) {
    std::mt19937 random(42); // NOLINT(cert-msc51-cpp): the same picture in each run
    const std::ptrdiff_t stride = std::ptrdiff_t{width} * pixel_bytes + 5;
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(stride * height));
    std::generate(pixels.begin(), pixels.end(), [&] { return static_cast<std::uint8_t>(random() % 256); });
    const int last = pixel_bytes - 1;
    const ShrinkSource source{pixels.data(), width, height, stride, pixel_bytes, {0, last / 2, last}};
    constexpr int gap = 3; // of the output's rows, which must stay untouched
    constexpr auto untouched = static_cast<Pixel>(211);
    // Half a gray level where it is rounded; two sums in another order may fall on either side of a half.
    constexpr double tolerance = std::is_same_v<Pixel, float> ? 0.01 : 0.501;
    const std::ptrdiff_t to_stride = to_width + gap;
    std::vector<std::vector<Pixel>> planes(
        3, std::vector<Pixel>(static_cast<std::size_t>(to_stride * to_height), untouched));
    std::vector<Span> columns(static_cast<std::size_t>(to_width));
    std::vector<float> sums(static_cast<std::size_t>(width * pixel_bytes));
    shrink_scalar<Pixel>(source, {{planes[0].data(), planes[1].data(), planes[2].data()},
                                  to_width,
                                  to_height,
                                  to_stride,
                                  columns.data(),
                                  sums.data()});
    const double sx = static_cast<double>(width) / to_width;
    const double sy = static_cast<double>(height) / to_height;
    for (std::size_t c = 0; c < 3; ++c) {
        for (int y = 0; y < to_height; ++y) {
            const auto row = planes[c].begin() + y * to_stride;
            for (int x = 0; x < to_width; ++x) {
                const double expected =
                    area_mean(source, source.channels[c], x * sx, y * sy, (x + 1) * sx, (y + 1) * sy);
                CHECK(check::near(row[x], expected, tolerance));
            }
            CHECK(std::all_of(row + to_width, row + to_stride, [](Pixel value) { return value == untouched; }));
        }
    }
}

template <class Pixel> void compare_sizes() {
    for (const int pixel_bytes : {1, 3, 4}) {
        compare<Pixel>(1, 1, 1, 1, pixel_bytes);
        compare<Pixel>(7, 5, 7, 5, pixel_bytes);
        compare<Pixel>(10, 10, 5, 5, pixel_bytes);
        compare<Pixel>(31, 17, 10, 6, pixel_bytes);
        compare<Pixel>(13, 29, 12, 28, pixel_bytes);
        compare<Pixel>(40, 3, 1, 1, pixel_bytes);
        compare<Pixel>(9, 8, 9, 4, pixel_bytes);
    }
}

// Bytes are rounded half up, and white stays white however its shares are rounded.
void test_rounding() {
    const std::vector<std::uint8_t> pixels = {0, 1, 3, 3, 255, 255, 255, // two rows of seven gray pixels
                                              0, 1, 3, 4, 255, 255, 255};
    std::vector<std::uint8_t> planes(9);
    std::vector<Span> columns(3);
    std::vector<float> sums(7);
    shrink_scalar<std::uint8_t>(
        {pixels.data(), 6, 2, 7, 1, {0, 0, 0}},
        {{planes.data(), planes.data() + 3, planes.data() + 6}, 3, 1, 3, columns.data(), sums.data()});
    CHECK(planes[0] == 1 && planes[1] == 3 && planes[2] == 255); // of 0.5, 3.25, 255
    shrink_scalar<std::uint8_t>(
        {pixels.data(), 7, 2, 7, 1, {0, 0, 0}},
        {{planes.data(), planes.data() + 3, planes.data() + 6}, 3, 1, 3, columns.data(), sums.data()});
    CHECK(planes[2] == 255);
}

} // namespace

int main() {
    compare_sizes<float>();
    compare_sizes<std::uint8_t>();
    test_rounding();
    return check::result();
}
