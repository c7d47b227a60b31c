#include <algorithm>
#include <cmath>

#include "kernels/crop.hpp"

namespace agepred::core::kernels {
namespace {

// Index i of a mirrored row of n pixels: ... 2 1 0 1 2 ... n-1 n-2 ...
std::int64_t mirror(std::int64_t i, std::int64_t n) {
    if (i >= 0 && i < n) {
        return i;
    }
    if (n == 1) {
        return 0;
    }
    const std::int64_t period = 2 * (n - 1);
    i = std::abs(i) % period; // a mirror image is symmetric about 0
    return i < n ? i : period - i;
}

// Adds the bilinear sample at (x, y), counted from the center of the first pixel, to sum[3]. Inside: the four pixels
// around it are known to lie in the picture, so that nothing is mirrored and truncation is floor.
template <bool Inside> void add_sample(const CropSource &source, double x, double y, float *sum) {
    const auto x0 = static_cast<std::int64_t>(Inside ? x : std::floor(x));
    const auto y0 = static_cast<std::int64_t>(Inside ? y : std::floor(y));
    const auto fx = static_cast<float>(x - static_cast<double>(x0));
    const auto fy = static_cast<float>(y - static_cast<double>(y0));
    const auto reflect = [](std::int64_t i, int n) { return Inside ? i : mirror(i, n); };
    const std::uint8_t *row0 = source.pixels + reflect(y0, source.height) * source.stride;
    const std::uint8_t *row1 = source.pixels + reflect(y0 + 1, source.height) * source.stride;
    const std::int64_t column0 = reflect(x0, source.width) * source.pixel_bytes;
    const std::int64_t column1 = reflect(x0 + 1, source.width) * source.pixel_bytes;
    const int channels[3] = {source.red, source.green, source.blue};
    for (int c = 0; c < 3; ++c) {
        const auto p00 = static_cast<float>(row0[column0 + channels[c]]);
        const auto p01 = static_cast<float>(row0[column1 + channels[c]]);
        const auto p10 = static_cast<float>(row1[column0 + channels[c]]);
        const auto p11 = static_cast<float>(row1[column1 + channels[c]]);
        const float upper = p00 + fx * (p01 - p00);
        const float lower = p10 + fx * (p11 - p10);
        sum[c] += upper + fy * (lower - upper);
    }
}

// Whether all samples of the crop lie between the centers of the picture's outermost pixels.
bool lies_inside(const CropSource &source, int side) {
    for (const int u : {0, side}) {
        for (const int v : {0, side}) {
            const double x = source.a * u - source.b * v + source.x - 0.5;
            const double y = source.b * u + source.a * v + source.y - 0.5;
            if (x < 0 || y < 0 || x >= source.width - 1 || y >= source.height - 1) {
                return false;
            }
        }
    }
    return true;
}

template <bool Inside> void cut(const CropSource &source, int side, std::uint8_t *crop) {
    const double span = std::hypot(source.a, source.b); // picture pixels that a crop pixel spans
    const int n = static_cast<int>(std::ceil(std::clamp(span, 1.0, double{max_samples})));
    const float weight = 1.0F / static_cast<float>(n * n);
    const float half = 0.5F / weight; // of a gray level, in sums: truncation then rounds half up
    const double half_step = 0.5 / n; // from a sample to the edge of its part of the crop pixel
    for (int v = 0; v < side; ++v) {
        for (int u = 0; u < side; ++u) {
            float sum[3] = {half, half, half};
            for (int j = 0; j < n; ++j) {
                const double cv = v + (2 * j + 1) * half_step;
                for (int i = 0; i < n; ++i) {
                    const double cu = u + (2 * i + 1) * half_step;
                    // Minus a half: from continuous coordinates to indices of pixel centers.
                    add_sample<Inside>(source, source.a * cu - source.b * cv + source.x - 0.5,
                                       source.b * cu + source.a * cv + source.y - 0.5, sum);
                }
            }
            for (const float channel : sum) {
                *crop++ = static_cast<std::uint8_t>(channel * weight);
            }
        }
    }
}

} // namespace

void crop_scalar(const CropSource &source, int side, std::uint8_t *crop) {
    lies_inside(source, side) ? cut<true>(source, side, crop) : cut<false>(source, side, crop);
}

} // namespace agepred::core::kernels
