// Kernel: cuts a similarity-transformed square out of a picture. Plain pointers only.
#pragma once

#include <cstddef>
#include <cstdint>

namespace agepred::core::kernels {

// Where a crop comes from. A point (u, v) of the crop, in its pixels, lies at
// (a u - b v + x, b u + a v + y) in the picture; both coordinates are continuous, pixel centers at .5.
struct CropSource {
    const std::uint8_t *pixels;
    int width, height;
    std::ptrdiff_t stride; // bytes
    int pixel_bytes, red, green, blue;
    double a, b, x, y;
};

inline constexpr int max_samples = 16; // a side; beyond it the samples are dense enough to average any texture

// A crop's samples in integers, so that every processor and compiler takes the same ones. Coordinates count from the
// center of the picture's first pixel.
struct CropGrid {
    // Bits of a fraction of a pixel where a sample is taken. The weights of its four pixels, products of two such
    // fractions cut to as many bits, are whole numbers that 16 bits hold and that add up to `one`; max_samples squared
    // of them, times 255, fit in 31 bits.
    static constexpr int bits = 14;
    static constexpr int one = 1 << bits;
    static constexpr int fine_bits = 32; // of the transform, whose errors a whole row adds up
    static constexpr int cut_bits = fine_bits - bits;

    explicit CropGrid(const CropSource &source);
    // The picture's point at the top left corner of a crop pixel. Its samples lie at the offsets from there.
    [[nodiscard]] std::int64_t fine_x(int u, int v) const { return x + u * a - v * b; }
    [[nodiscard]] std::int64_t fine_y(int u, int v) const { return y + u * b + v * a; }

    std::int64_t a, b, x, y; // with fine_bits
    int samples;             // of a crop pixel
    std::int64_t offset_x[max_samples * max_samples];
    std::int64_t offset_y[max_samples * max_samples];
};

// The definition. Every crop pixel is the mean of n x n bilinear samples spread evenly over it, where n is the
// smallest integer not below the number of picture pixels a crop pixel spans, at most max_samples; the picture
// goes on beyond its border as its mirror image about the outermost pixels' centers. Rounded half up.
//   crop  side x side x 3 bytes, RGB
void crop_scalar(const CropSource &source, int side, std::uint8_t *crop);

// The same, bit for bit, with SSE4.1. False where it cuts nothing: on other processors; crops less than four pixels
// wide or further outside than the picture is large; pictures of a single row or column, or of 2 GiB.
bool crop_simd(const CropSource &source, int side, std::uint8_t *crop);

// The faster of the two.
inline void cut_crop(const CropSource &source, int side, std::uint8_t *crop) {
    if (!crop_simd(source, side, crop)) {
        crop_scalar(source, side, crop);
    }
}

} // namespace agepred::core::kernels
