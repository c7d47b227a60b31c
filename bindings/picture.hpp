// A NumPy array as the library's picture.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>

#include "agepred/agepred.hpp"

namespace agepred_edge {

using Bytes = pybind11::array_t<std::uint8_t>;

// Borrows a picture's memory. Only the distance between rows is free: channels and pixels lie side by side.
inline agepred_image borrow(const Bytes &picture, int format) {
    const auto pixel_format = static_cast<agepred_pixel_format>(format);
    const pybind11::ssize_t channels = picture.ndim() == 3 ? picture.shape(2) : 1;
    if (picture.ndim() < 2 || picture.ndim() > 3 || channels != agepred::image(nullptr, 1, 1, pixel_format).stride ||
        picture.size() == 0 || picture.shape(0) > INT32_MAX || picture.shape(1) > INT32_MAX ||
        (picture.shape(1) > 1 && picture.strides(1) != channels) || (channels > 1 && picture.strides(2) != 1)) {
        throw pybind11::value_error(
            "a picture must be a uint8 array of height x width (x channels), its pixels without "
            "gaps within a row");
    }
    agepred_image image = agepred::image(picture.data(), static_cast<int>(picture.shape(1)),
                                         static_cast<int>(picture.shape(0)), pixel_format);
    // Where there is one row alone NumPy may report any distance to a next one. Zero, as of a broadcast row, is a
    // distance like any other here, and the library refuses it.
    if (picture.shape(0) > 1) {
        image.stride = picture.strides(0);
    }
    return image;
}

} // namespace agepred_edge
