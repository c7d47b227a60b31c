// Kernel: shrinks a picture by the mean over areas, into planes of floats. Plain pointers only.
#pragma once

#include <cstddef>
#include <cstdint>

namespace agepred::core::kernels {

struct ShrinkSource {
    const std::uint8_t *pixels;
    int width, height;
    std::ptrdiff_t stride; // bytes
    int pixel_bytes;
    int channels[3]; // byte offset, within a pixel, of what goes into each plane
};

// The source pixels that an output pixel covers: from first to last, the two ends by a share only.
struct Span {
    int first, last;
    float first_share, last_share;
};

// What output pixel `index` of a row (or column) covers when `size` pixels shrink by `scale` >= 1.
Span cover(int index, double scale, int size);

// Three planes of floats, 0 to 255. Their first element is that of the shrunk picture's top left pixel.
struct ShrinkTarget {
    float *planes[3];
    int width, height;     // of the shrunk picture; neither above the source's
    std::ptrdiff_t stride; // floats
    Span *columns;         // room for width spans, which the kernel fills
};

// The definition. An output pixel is the mean of the rectangle of the source that it covers, pixels at the
// rectangle's border counted by the share of them that is covered. At equal sizes it is a copy.
void shrink_scalar(const ShrinkSource &source, const ShrinkTarget &target);

} // namespace agepred::core::kernels
