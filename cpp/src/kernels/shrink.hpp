// Kernel: shrinks a picture by the mean over areas, into planes. Plain pointers only.
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

// Three planes, 0 to 255. Their first element is that of the shrunk picture's top left pixel.
template <class Pixel> struct ShrinkTarget {
    Pixel *planes[3];
    int width, height;     // of the shrunk picture; neither above the source's
    std::ptrdiff_t stride; // elements
    // Memory that the kernel uses up; not touched at equal sizes.
    Span *columns; // width spans
    float *row;    // as many floats as a row of the source has bytes
};

// The definition, for float and std::uint8_t. An output pixel is the mean of the rectangle of the source that it
// covers, pixels at the rectangle's border counted by the share of them that is covered; bytes are rounded half up. At
// equal sizes it is a copy.
template <class Pixel> void shrink_scalar(const ShrinkSource &source, const ShrinkTarget<Pixel> &target);

} // namespace agepred::core::kernels
