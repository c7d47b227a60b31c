// The shrinking kernel against the mean over areas in its plainest form.
#include "kernels/shrink.hpp"

#include <algorithm>
#include <random>
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

void compare(int width, int height, int to_width, int to_height, int pixel_bytes) {
    std::mt19937 random(42); // NOLINT(cert-msc51-cpp): the same picture in each run
    const std::ptrdiff_t stride = std::ptrdiff_t{width} * pixel_bytes + 5;
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(stride * height));
    std::generate(pixels.begin(), pixels.end(), [&] { return static_cast<std::uint8_t>(random() % 256); });
    const int last = pixel_bytes - 1;
    const ShrinkSource source{pixels.data(), width, height, stride, pixel_bytes, {0, last / 2, last}};
    constexpr int gap = 3; // of the output's rows, which must stay untouched
    constexpr float untouched = -1.0F;
    const std::ptrdiff_t to_stride = to_width + gap;
    std::vector<std::vector<float>> planes(
        3, std::vector<float>(static_cast<std::size_t>(to_stride * to_height), untouched));
    std::vector<Span> columns(static_cast<std::size_t>(to_width));
    shrink_scalar(
        source,
        {{planes[0].data(), planes[1].data(), planes[2].data()}, to_width, to_height, to_stride, columns.data()});
    const double sx = static_cast<double>(width) / to_width;
    const double sy = static_cast<double>(height) / to_height;
    for (std::size_t c = 0; c < 3; ++c) {
        for (int y = 0; y < to_height; ++y) {
            const auto row = planes[c].begin() + y * to_stride;
            for (int x = 0; x < to_width; ++x) {
                const double expected =
                    area_mean(source, source.channels[c], x * sx, y * sy, (x + 1) * sx, (y + 1) * sy);
                CHECK(check::near(row[x], expected, 0.01));
            }
            CHECK(std::all_of(row + to_width, row + to_stride, [](float value) { return value == untouched; }));
        }
    }
}

} // namespace

int main() {
    for (const int pixel_bytes : {1, 3, 4}) {
        compare(1, 1, 1, 1, pixel_bytes);
        compare(7, 5, 7, 5, pixel_bytes);
        compare(10, 10, 5, 5, pixel_bytes);
        compare(31, 17, 10, 6, pixel_bytes);
        compare(13, 29, 12, 28, pixel_bytes);
        compare(40, 3, 1, 1, pixel_bytes);
    }
    return check::result();
}
