// Borrowed pixels. All checks of a caller's picture happen in view(); past it a picture is sound.
#pragma once

#include <cstddef>
#include <cstdint>

#include "agepred/agepred.h"

namespace agepred::core {

// A checked picture of 8 bits a channel, in any of the public pixel formats.
struct ImageView {
    const std::uint8_t *pixels; // first byte of the top row
    int width;                  // 1 to max_side
    int height;
    std::ptrdiff_t stride; // bytes; |stride| >= width * pixel_bytes
    int pixel_bytes;
    int red; // offsets of the channels within a pixel; all 0 for gray
    int green;
    int blue;

    static constexpr int max_side = 65535;

    [[nodiscard]] const std::uint8_t *row(int y) const { return pixels + y * stride; }
};

// Checks a caller's picture. Throws Error(INVALID_IMAGE) that says what is wrong with it.
ImageView view(const agepred_image *image);

} // namespace agepred::core
