#include <algorithm>
#include <cmath>

#include "kernels/shrink.hpp"

namespace agepred::core::kernels {
namespace {

// Sum of one channel over a span of one row.
float sum_span(const std::uint8_t *row, const Span &span, int pixel_bytes, int channel) {
    const float sum = span.first_share * static_cast<float>(row[span.first * pixel_bytes + channel]);
    if (span.last == span.first) {
        return sum;
    }
    unsigned whole = 0; // exact: a row has at most 65535 pixels of at most 255
    for (int x = span.first + 1; x < span.last; ++x) {
        whole += row[x * pixel_bytes + channel];
    }
    return sum + static_cast<float>(whole) +
           span.last_share * static_cast<float>(row[span.last * pixel_bytes + channel]);
}

} // namespace

Span cover(int index, double scale, int size) {
    const double low = index * scale;
    const double high = std::min((index + 1) * scale, static_cast<double>(size));
    const int first = std::min(static_cast<int>(low), size - 1);
    // A rectangle that ends at a pixel's edge (within rounding) does not reach into the next pixel.
    const int last = std::clamp(static_cast<int>(std::ceil(high - 1e-9)) - 1, first, size - 1);
    if (first == last) {
        return {first, last, static_cast<float>(high - low), 0.0F};
    }
    return {first, last, static_cast<float>(first + 1 - low), static_cast<float>(high - last)};
}

void shrink_scalar(const ShrinkSource &source, const ShrinkTarget &target) {
    const double scale_x = static_cast<double>(source.width) / target.width;
    const double scale_y = static_cast<double>(source.height) / target.height;
    const auto weight = static_cast<float>(1.0 / (scale_x * scale_y));
    for (int x = 0; x < target.width; ++x) {
        target.columns[x] = cover(x, scale_x, source.width);
    }
    for (int y = 0; y < target.height; ++y) {
        const Span rows = cover(y, scale_y, source.height);
        for (float *plane : target.planes) {
            std::fill_n(plane + y * target.stride, target.width, 0.0F);
        }
        for (int sy = rows.first; sy <= rows.last; ++sy) {
            float share = sy == rows.last ? rows.last_share : 1.0F;
            if (sy == rows.first) {
                share = rows.first_share; // also where the first is the last
            }
            const std::uint8_t *row = source.pixels + sy * source.stride;
            for (int x = 0; x < target.width; ++x) {
                for (int c = 0; c < 3; ++c) {
                    target.planes[c][y * target.stride + x] +=
                        share * weight * sum_span(row, target.columns[x], source.pixel_bytes, source.channels[c]);
                }
            }
        }
    }
}

} // namespace agepred::core::kernels
