#include <algorithm>
#include <cmath>
#include <type_traits>

#include "kernels/shrink.hpp"

namespace agepred::core::kernels {
namespace {

// PixelBytes is a constant for the compiler's sake: it makes of each loop one for pixels of that size.
template <int PixelBytes, class Pixel> void copy(const ShrinkSource &source, const ShrinkTarget<Pixel> &target) {
    const std::ptrdiff_t first = source.channels[0];
    const std::ptrdiff_t second = source.channels[1];
    const std::ptrdiff_t third = source.channels[2];
    for (int y = 0; y < target.height; ++y) {
        const std::uint8_t *pixel = source.pixels + y * source.stride;
        Pixel *one = target.planes[0] + y * target.stride;
        Pixel *two = target.planes[1] + y * target.stride;
        Pixel *three = target.planes[2] + y * target.stride;
        for (int x = 0; x < target.width; ++x, pixel += PixelBytes) {
            one[x] = pixel[first];
            two[x] = pixel[second];
            three[x] = pixel[third];
        }
    }
}

// The source's rows that an output row covers, summed byte by byte, each by its share.
void sum_rows(const ShrinkSource &source, const Span &rows, float *sums) {
    const std::ptrdiff_t bytes = std::ptrdiff_t{source.width} * source.pixel_bytes;
    std::fill_n(sums, bytes, 0.0F);
    for (int y = rows.first; y <= rows.last; ++y) {
        float share = y == rows.last ? rows.last_share : 1.0F;
        if (y == rows.first) {
            share = rows.first_share; // also where the first is the last
        }
        const std::uint8_t *row = source.pixels + y * source.stride;
        for (std::ptrdiff_t i = 0; i < bytes; ++i) {
            sums[i] += share * static_cast<float>(row[i]);
        }
    }
}

// Sum of one channel over a span of such sums.
template <int PixelBytes> float sum_span(const float *row, const Span &span, int channel) {
    float sum = span.first_share * row[span.first * PixelBytes + channel];
    for (int x = span.first + 1; x < span.last; ++x) {
        sum += row[x * PixelBytes + channel];
    }
    return span.last == span.first ? sum : sum + span.last_share * row[span.last * PixelBytes + channel];
}

template <class Pixel> Pixel rounded(float value) {
    if constexpr (std::is_same_v<Pixel, std::uint8_t>) {
        return static_cast<std::uint8_t>(
            std::min(value + 0.5F, 255.0F)); // a sum of shares may exceed one by a rounding
    } else {
        return value;
    }
}

template <int PixelBytes, class Pixel> void shrink(const ShrinkSource &source, const ShrinkTarget<Pixel> &target) {
    if (target.width == source.width && target.height == source.height) {
        copy<PixelBytes>(source, target);
        return;
    }
    const double scale_x = static_cast<double>(source.width) / target.width;
    const double scale_y = static_cast<double>(source.height) / target.height;
    const auto weight = static_cast<float>(1.0 / (scale_x * scale_y));
    for (int x = 0; x < target.width; ++x) {
        target.columns[x] = cover(x, scale_x, source.width);
    }
    for (int y = 0; y < target.height; ++y) {
        sum_rows(source, cover(y, scale_y, source.height), target.row);
        for (int c = 0; c < 3; ++c) {
            Pixel *row = target.planes[c] + y * target.stride;
            for (int x = 0; x < target.width; ++x) {
                const float sum = sum_span<PixelBytes>(target.row, target.columns[x], source.channels[c]);
                row[x] = rounded<Pixel>(weight * sum);
            }
        }
    }
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

template <class Pixel> void shrink_scalar(const ShrinkSource &source, const ShrinkTarget<Pixel> &target) {
    switch (source.pixel_bytes) {
    case 1:
        return shrink<1>(source, target);
    case 3:
        return shrink<3>(source, target);
    default:
        return shrink<4>(source, target);
    }
}

template void shrink_scalar(const ShrinkSource &source, const ShrinkTarget<float> &target);
template void shrink_scalar(const ShrinkSource &source, const ShrinkTarget<std::uint8_t> &target);

} // namespace agepred::core::kernels
