#include "image.hpp"

#include <string>

#include "status.hpp"

namespace agepred::core {
namespace {

[[noreturn]] void refuse(const std::string &why) { throw Error(AGEPRED_INVALID_IMAGE, why); }

struct Layout {
    int pixel_bytes, red, green, blue;
};

Layout layout_of(std::int32_t format) {
    switch (format) {
    case AGEPRED_RGB:
        return {3, 0, 1, 2};
    case AGEPRED_BGR:
        return {3, 2, 1, 0};
    case AGEPRED_RGBA:
        return {4, 0, 1, 2};
    case AGEPRED_BGRA:
        return {4, 2, 1, 0};
    case AGEPRED_GRAY:
        return {1, 0, 0, 0};
    default:
        refuse("pixel format " + std::to_string(format) + " is none of RGB, BGR, RGBA, BGRA, GRAY");
    }
}

} // namespace

ImageView view(const agepred_image *image) {
    if (image == nullptr || image->pixels == nullptr) {
        refuse("the picture has no pixels (NULL)");
    }
    if (image->struct_size < sizeof(agepred_image)) {
        refuse("struct_size of the picture is not set");
    }
    if (image->width < 1 || image->height < 1 || image->width > ImageView::max_side ||
        image->height > ImageView::max_side) {
        refuse("a picture of " + std::to_string(image->width) + " x " + std::to_string(image->height) +
               " pixels: each side must be from 1 to " + std::to_string(ImageView::max_side));
    }
    const Layout layout = layout_of(image->format);
    const std::ptrdiff_t row_bytes = std::ptrdiff_t{image->width} * layout.pixel_bytes;
    // Compared without negating, so that the most negative stride cannot overflow.
    if (image->stride < row_bytes && image->stride > -row_bytes) {
        refuse("a stride of " + std::to_string(image->stride) + " bytes is shorter than a row of " +
               std::to_string(row_bytes) + " bytes");
    }
    // No allocation is larger than half of the address space; beyond it, pointer arithmetic would wrap.
    if (image->height > 1 &&
        (image->stride > PTRDIFF_MAX / image->height || image->stride < PTRDIFF_MIN / image->height)) {
        refuse("a stride of " + std::to_string(image->stride) + " bytes leads beyond all memory");
    }
    return {image->pixels,      image->width, image->height, image->stride,
            layout.pixel_bytes, layout.red,   layout.green,  layout.blue};
}

} // namespace agepred::core
