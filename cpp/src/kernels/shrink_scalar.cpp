#include <algorithm>
#include <cmath>
#include <type_traits>

#include "kernels/shrink.hpp"

namespace agepred::core::kernels {
namespace {

// Sorts the channels of a row's pixels into planes. The offsets are numbers, or constants (Offset), with which the
// compiler makes vector instructions of the loop. PixelBytes is a constant for its sake, too.
template <int PixelBytes, class Pixel, class First, class Second, class Third>
[[gnu::always_inline]] inline void copy_row(const std::uint8_t *__restrict pixel, Pixel *__restrict one,
                                            Pixel *__restrict two, Pixel *__restrict three, int width, First first,
                                            Second second, Third third) {
    for (int x = 0; x < width; ++x, pixel += PixelBytes) {
        one[x] = pixel[first];
        two[x] = pixel[second];
        three[x] = pixel[third];
    }
}

template <int Value> using Offset = std::integral_constant<std::ptrdiff_t, Value>;

// Pixels of three bytes, of which the first plane takes the first or, where First is 2, the last.
template <int First, class Pixel>
void copy_triples(const std::uint8_t *pixel, Pixel *one, Pixel *two, Pixel *three, int width) {
    copy_row<3>(pixel, one, two, three, width, Offset<First>(), Offset<1>(), Offset<2 - First>());
}

#if defined(__x86_64__)
// The same with SSSE3's shuffle of bytes, without which x86 has no vector instructions for it.
template <int First, class Pixel> [[gnu::target("ssse3")]]
void copy_triples_ssse3(const std::uint8_t *pixel, Pixel *one, Pixel *two, Pixel *three, int width) {
    copy_row<3>(pixel, one, two, three, width, Offset<First>(), Offset<1>(), Offset<2 - First>());
}
#endif

template <int First, class Pixel> auto *triples_copier() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("ssse3") != 0) {
        return &copy_triples_ssse3<First, Pixel>;
    }
#endif
    return &copy_triples<First, Pixel>;
}

template <int PixelBytes, class Pixel> void copy(const ShrinkSource &source, const ShrinkTarget<Pixel> &target) {
    const auto [first, second, third] = source.channels;
    const bool rgb = PixelBytes == 3 && first == 0 && second == 1 && third == 2;
    const bool bgr = PixelBytes == 3 && first == 2 && second == 1 && third == 0;
    const auto copy_triple_row = bgr ? triples_copier<2, Pixel>() : triples_copier<0, Pixel>();
    for (int y = 0; y < target.height; ++y) {
        const std::uint8_t *pixel = source.pixels + y * source.stride;
        Pixel *one = target.planes[0] + y * target.stride;
        Pixel *two = target.planes[1] + y * target.stride;
        Pixel *three = target.planes[2] + y * target.stride;
        if (rgb || bgr) {
            copy_triple_row(pixel, one, two, three, target.width);
        } else {
            copy_row<PixelBytes>(pixel, one, two, three, target.width, first, second, third);
        }
    }
}

// The source's rows that an output row covers, summed byte by byte, each by its share.
void sum_rows(const ShrinkSource &source, const Span &rows, float *sums) {
    const std::ptrdiff_t bytes = std::ptrdiff_t{source.width} * source.pixel_bytes;
    const std::uint8_t *row = source.pixels + rows.first * source.stride;
    for (std::ptrdiff_t i = 0; i < bytes; ++i) {
        sums[i] = rows.first_share * static_cast<float>(row[i]);
    }
    for (int y = rows.first + 1; y <= rows.last; ++y) {
        row += source.stride;
        const float share = y == rows.last ? rows.last_share : 1.0F;
        for (std::ptrdiff_t i = 0; i < bytes; ++i) {
            sums[i] += share * static_cast<float>(row[i]);
        }
    }
}

template <class Pixel> Pixel rounded(float value) {
    if constexpr (std::is_same_v<Pixel, std::uint8_t>) {
        return static_cast<std::uint8_t>(
            std::min(value + 0.5F, 255.0F)); // a sum of shares may exceed one by a rounding
    } else {
        return value;
    }
}

// Row y of the planes, of the sums of the source's rows. All that the loop needs is in variables of its own: the
// compiler cannot know that bytes written to a plane change nothing else.
template <int PixelBytes, class Pixel>
void lay_row(const ShrinkSource &source, const ShrinkTarget<Pixel> &target, int y, float weight) {
    const std::ptrdiff_t first = source.channels[0];
    const std::ptrdiff_t second = source.channels[1];
    const std::ptrdiff_t third = source.channels[2];
    Pixel *one = target.planes[0] + y * target.stride;
    Pixel *two = target.planes[1] + y * target.stride;
    Pixel *three = target.planes[2] + y * target.stride;
    const float *row = target.row;
    const Span *columns = target.columns;
    const int width = target.width;
    for (int x = 0; x < width; ++x) {
        const Span span = columns[x];
        const float *pixel = row + std::ptrdiff_t{span.first} * PixelBytes;
        const float *last = row + std::ptrdiff_t{span.last} * PixelBytes;
        float a = span.first_share * pixel[first];
        float b = span.first_share * pixel[second];
        float c = span.first_share * pixel[third];
        for (pixel += PixelBytes; pixel < last; pixel += PixelBytes) {
            a += pixel[first];
            b += pixel[second];
            c += pixel[third];
        }
        // Where the first is the last, the share of the last is zero.
        a += span.last_share * last[first];
        b += span.last_share * last[second];
        c += span.last_share * last[third];
        one[x] = rounded<Pixel>(weight * a);
        two[x] = rounded<Pixel>(weight * b);
        three[x] = rounded<Pixel>(weight * c);
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
        lay_row<PixelBytes>(source, target, y, weight);
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
