#include "kernels/crop.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>

// NOLINTBEGIN(portability-simd-intrinsics): the portable form is crop_scalar
namespace agepred::core::kernels {
namespace {

// What crop_scalar does to one sample, here of four crop pixels side by side.

constexpr int lanes = 4;

struct Places {
    __m128i first;
    __m128i fraction;
};

// One coordinate of four crop pixels' corners, as CropGrid says.
[[gnu::target("sse4.1"), gnu::always_inline]] inline __m128i four_corners(std::int64_t first, std::int64_t step) {
    const __m128i begin = _mm_set1_epi64x(first);
    const __m128i two = _mm_add_epi64(begin, _mm_set_epi64x(step, 0));
    const __m128i other_two = _mm_add_epi64(begin, _mm_set_epi64x(3 * step, 2 * step));
    return _mm_castps_si128(_mm_shuffle_ps(_mm_castsi128_ps(_mm_srli_epi64(two, CropGrid::cut_bits)),
                                           _mm_castsi128_ps(_mm_srli_epi64(other_two, CropGrid::cut_bits)), 0x88));
}

struct Limits {
    __m128i mirror_end; // of the picture's first mirror image, a coordinate
    __m128i last_first; // the last pixel but one
};

[[gnu::target("sse4.1"), gnu::always_inline]] inline Limits limits(int size) {
    return {_mm_set1_epi32((size - 1) << (CropGrid::bits + 1)), _mm_set1_epi32(size - 2)};
}

// As in crop_scalar.cpp, for coordinates no further outside than a row is long.
[[gnu::target("sse4.1"), gnu::always_inline]] inline Places place(__m128i x, const Limits &limits) {
    x = _mm_abs_epi32(x);
    x = _mm_min_epi32(x, _mm_sub_epi32(limits.mirror_end, x));
    const __m128i first = _mm_min_epi32(_mm_srli_epi32(x, CropGrid::bits), limits.last_first);
    return {first, _mm_sub_epi32(x, _mm_slli_epi32(first, CropGrid::bits))};
}

// Two neighboring pixels and not a byte more: the first one's at 0, the second one's at second_pixel<PixelBytes>.
template <int PixelBytes> constexpr int second_pixel = PixelBytes == 1 ? 1 : 8 - PixelBytes;

template <int PixelBytes>
[[gnu::target("sse4.1"), gnu::always_inline]] inline __m128i load_two(const std::uint8_t *pixels) {
    if constexpr (PixelBytes == 1) {
        std::uint16_t both = 0;
        std::memcpy(&both, pixels, sizeof both);
        return _mm_cvtsi32_si128(both);
    } else {
        int begin = 0;
        int end = 0;
        std::memcpy(&begin, pixels, sizeof begin);
        std::memcpy(&end, pixels + 2 * std::ptrdiff_t{PixelBytes} - sizeof end, sizeof end);
        return _mm_insert_epi32(_mm_cvtsi32_si128(begin), end, 1);
    }
}

// Shuffles what load_two gives into pairs of 16-bit numbers, both pixels' red, green and blue.
template <int PixelBytes> [[gnu::target("sse4.1")]] __m128i channel_pairs(const CropSource &source) {
    alignas(16) std::int8_t from[16];
    std::fill_n(from, sizeof from, std::int8_t{-1}); // zero
    std::int8_t *pair = from;
    for (const int channel : {source.red, source.green, source.blue}) {
        pair[0] = static_cast<std::int8_t>(channel);
        pair[2] = static_cast<std::int8_t>(channel + second_pixel<PixelBytes>);
        pair += 4;
    }
    return _mm_load_si128(reinterpret_cast<const __m128i *>(from));
}

// Weights of the left and the right pixel, 16 bits each, in the upper and the lower row.
struct Weights {
    __m128i upper;
    __m128i lower;
};

[[gnu::target("sse4.1"), gnu::always_inline]] inline Weights weigh(__m128i fraction_x, __m128i fraction_y) {
    const __m128i lower_right = _mm_srli_epi32(_mm_madd_epi16(fraction_x, fraction_y), CropGrid::bits);
    const __m128i upper_right = _mm_sub_epi32(fraction_x, lower_right);
    const __m128i lower_left = _mm_sub_epi32(fraction_y, lower_right);
    const __m128i upper_left = _mm_sub_epi32(_mm_set1_epi32(CropGrid::one), _mm_add_epi32(fraction_x, lower_left));
    return {_mm_or_si128(upper_left, _mm_slli_epi32(upper_right, 16)),
            _mm_or_si128(lower_left, _mm_slli_epi32(lower_right, 16))};
}

// One lane's sample added to its sums of red, green and blue.
template <int Lane, int PixelBytes>
[[gnu::target("sse4.1"), gnu::always_inline]] inline __m128i plus_sample(__m128i sum, const std::uint8_t *picture,
                                                                         std::ptrdiff_t stride, __m128i at,
                                                                         const Weights &weights, __m128i pairs) {
    const std::uint8_t *upper = picture + _mm_extract_epi32(at, Lane);
    const __m128i above = _mm_shuffle_epi8(load_two<PixelBytes>(upper), pairs);
    const __m128i below = _mm_shuffle_epi8(load_two<PixelBytes>(upper + stride), pairs);
    sum = _mm_add_epi32(sum, _mm_madd_epi16(above, _mm_shuffle_epi32(weights.upper, Lane * 0x55)));
    return _mm_add_epi32(sum, _mm_madd_epi16(below, _mm_shuffle_epi32(weights.lower, Lane * 0x55)));
}

// Sums by the number of samples, of which `share` is the reciprocal and a millionth more. Exact: quotients up to 256
// are whole numbers or at least 1/256 below one.
[[gnu::target("sse4.1"), gnu::always_inline]] inline __m128i mean(__m128i sum, __m128 share) {
    return _mm_cvttps_epi32(_mm_mul_ps(_mm_cvtepi32_ps(_mm_srli_epi32(sum, CropGrid::bits)), share));
}

template <int PixelBytes>
[[gnu::target("sse4.1")]] void cut(CropSource source, const CropGrid &grid, int side, std::uint8_t *crop) {
    const Limits width = limits(source.width);
    const Limits height = limits(source.height);
    const __m128i pairs = channel_pairs<PixelBytes>(source);
    const __m128i half = _mm_set1_epi32(grid.samples << (CropGrid::bits - 1));
    const __m128 share = _mm_set1_ps(1.000001F / static_cast<float>(grid.samples));
    const __m128i without_fourths = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    const __m128i stride = _mm_set1_epi32(static_cast<std::int32_t>(source.stride));
    for (int v = 0; v < side; ++v) {
        for (int begin = 0; begin < side; begin += lanes) {
            const int u = std::min(begin, side - lanes); // the last four of a row may be partly done
            const __m128i x = four_corners(grid.fine_x(u, v), grid.a);
            const __m128i y = four_corners(grid.fine_y(u, v), grid.b);
            __m128i sums[lanes] = {half, half, half, half};
            for (int k = 0; k < grid.samples; ++k) {
                const auto offset_x = static_cast<std::int32_t>(grid.offset_x[k]);
                const auto offset_y = static_cast<std::int32_t>(grid.offset_y[k]);
                const Places column = place(_mm_add_epi32(x, _mm_set1_epi32(offset_x)), width);
                const Places row = place(_mm_add_epi32(y, _mm_set1_epi32(offset_y)), height);
                const Weights weights = weigh(column.fraction, row.fraction);
                const __m128i at = _mm_add_epi32(_mm_mullo_epi32(row.first, stride),
                                                 _mm_mullo_epi32(column.first, _mm_set1_epi32(PixelBytes)));
                sums[0] = plus_sample<0, PixelBytes>(sums[0], source.pixels, source.stride, at, weights, pairs);
                sums[1] = plus_sample<1, PixelBytes>(sums[1], source.pixels, source.stride, at, weights, pairs);
                sums[2] = plus_sample<2, PixelBytes>(sums[2], source.pixels, source.stride, at, weights, pairs);
                sums[3] = plus_sample<3, PixelBytes>(sums[3], source.pixels, source.stride, at, weights, pairs);
            }
            const __m128i two = _mm_packs_epi32(mean(sums[0], share), mean(sums[1], share));
            const __m128i other_two = _mm_packs_epi32(mean(sums[2], share), mean(sums[3], share));
            const __m128i rgb = _mm_shuffle_epi8(_mm_packus_epi16(two, other_two), without_fourths);
            std::memcpy(crop + 3 * (std::ptrdiff_t{v} * side + u), &rgb, 3 * std::size_t{lanes});
        }
    }
}

// Whether place() folds all samples of the crop onto the picture: they lie between those of its corners.
bool lies_near(const CropSource &source, const CropGrid &grid, int side) {
    const auto is_near = [](std::int64_t x, int size) {
        const std::int64_t last = std::int64_t{size - 1} << CropGrid::fine_bits;
        return x >= -last && x <= 2 * last;
    };
    for (const int u : {0, side}) {
        for (const int v : {0, side}) {
            if (!is_near(grid.fine_x(u, v), source.width) || !is_near(grid.fine_y(u, v), source.height)) {
                return false;
            }
        }
    }
    return true;
}

} // namespace

bool crop_simd(const CropSource &source, int side, std::uint8_t *crop) {
    const std::ptrdiff_t bytes = std::abs(source.stride) * source.height; // a stride is no shorter than a row
    if (!__builtin_cpu_supports("sse4.1") || side < lanes || source.width < 2 || source.height < 2 ||
        bytes > std::numeric_limits<std::int32_t>::max()) {
        return false;
    }
    const CropGrid grid(source);
    if (!lies_near(source, grid, side)) {
        return false;
    }
    switch (source.pixel_bytes) {
    case 1:
        cut<1>(source, grid, side, crop);
        return true;
    case 3:
        cut<3>(source, grid, side, crop);
        return true;
    default:
        cut<4>(source, grid, side, crop);
        return true;
    }
}

} // namespace agepred::core::kernels
// NOLINTEND(portability-simd-intrinsics)

#else

namespace agepred::core::kernels {

bool crop_simd(const CropSource & /*source*/, int /*side*/, std::uint8_t * /*crop*/) { return false; }

} // namespace agepred::core::kernels

#endif
