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

// The definition. Every crop pixel is the mean of n x n bilinear samples spread evenly over it, where n is the
// smallest integer not below the number of picture pixels a crop pixel spans, at most max_samples; the picture
// goes on beyond its border as its mirror image about the outermost pixels' centers. Rounded half up.
//   crop  side x side x 3 bytes, RGB
inline constexpr int max_samples = 16; // a side; beyond it the samples are dense enough to average any texture
void crop_scalar(const CropSource &source, int side, std::uint8_t *crop);

} // namespace agepred::core::kernels
