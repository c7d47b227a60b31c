#include <algorithm>
#include <cmath>

#include "kernels/crop.hpp"

namespace agepred::core::kernels {
namespace {

// A coordinate between the centers of two neighbors in a row of pixels: how far it is from the first to the second.
// In a row of one pixel that is its own neighbor.
struct Place {
    std::int64_t first;
    std::uint32_t fraction; // 0 to CropGrid::one
};

// Where a coordinate lies once the mirror images of a row of `size` pixels are folded onto it.
Place place(std::int64_t x, int size) {
    const std::int64_t last = std::int64_t{size - 1} << CropGrid::bits;
    if (x < 0 || x > last) {
        x = last == 0 ? 0 : std::abs(x) % (2 * last); // a mirror image is symmetric about 0
        x = std::min(x, 2 * last - x);
    }
    const std::int64_t first = std::min<std::int64_t>(x >> CropGrid::bits, std::max(size - 2, 0));
    return {first, static_cast<std::uint32_t>(x - (first << CropGrid::bits))};
}

// Adds the bilinear sample at (x, y), times CropGrid::one, to sum[3].
void add_sample(const CropSource &source, std::int64_t x, std::int64_t y, std::uint32_t *sum) {
    const Place column = place(x, source.width);
    const Place row = place(y, source.height);
    const std::uint32_t lower_right = column.fraction * row.fraction >> CropGrid::bits;
    const std::uint32_t upper_right = column.fraction - lower_right;
    const std::uint32_t lower_left = row.fraction - lower_right;
    const std::uint32_t upper_left = CropGrid::one - column.fraction - lower_left;
    const std::uint8_t *upper = source.pixels + row.first * source.stride + column.first * source.pixel_bytes;
    const std::uint8_t *lower = upper + (source.height > 1 ? source.stride : 0);
    const int right = source.width > 1 ? source.pixel_bytes : 0;
    const int channels[3] = {source.red, source.green, source.blue};
    for (int i = 0; i < 3; ++i) {
        const int channel = channels[i];
        sum[i] += upper_left * upper[channel] + upper_right * upper[channel + right] + lower_left * lower[channel] +
                  lower_right * lower[channel + right];
    }
}

} // namespace

CropGrid::CropGrid(const CropSource &source) {
    const auto fixed = [](double number) { return std::llround(std::ldexp(number, fine_bits)); };
    a = fixed(source.a);
    b = fixed(source.b);
    x = fixed(source.x - 0.5); // from continuous coordinates to those of pixel centers
    y = fixed(source.y - 0.5);
    // Picture pixels that a crop pixel spans. Not hypot, whose last bit differs between libraries.
    const double span = std::sqrt(source.a * source.a + source.b * source.b);
    const int n = static_cast<int>(std::ceil(std::clamp(span, 1.0, double{max_samples})));
    samples = n * n;
    const std::int64_t halves = 2 * std::int64_t{n}; // of the distance between two samples, in a crop pixel
    int k = 0;
    for (std::int64_t j = 1; j < halves; j += 2) {
        for (std::int64_t i = 1; i < halves; i += 2) {
            offset_x[k] = (a * i - b * j) / halves >> cut_bits;
            offset_y[k] = (b * i + a * j) / halves >> cut_bits;
            ++k;
        }
    }
}

void crop_scalar(const CropSource &source, int side, std::uint8_t *crop) {
    const CropGrid grid(source);
    const std::uint32_t total = static_cast<std::uint32_t>(grid.samples) << CropGrid::bits;
    for (int v = 0; v < side; ++v) {
        for (int u = 0; u < side; ++u) {
            const std::int64_t x = grid.fine_x(u, v) >> CropGrid::cut_bits;
            const std::int64_t y = grid.fine_y(u, v) >> CropGrid::cut_bits;
            std::uint32_t sum[3] = {total / 2, total / 2, total / 2};
            for (int k = 0; k < grid.samples; ++k) {
                add_sample(source, x + grid.offset_x[k], y + grid.offset_y[k], sum);
            }
            for (const std::uint32_t channel : sum) {
                *crop++ = static_cast<std::uint8_t>(channel / total);
            }
        }
    }
}

} // namespace agepred::core::kernels
