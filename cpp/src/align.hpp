// Five points to an upright crop.
#pragma once

#include <array>
#include <cstdint>

#include "image.hpp"

namespace agepred::core {

// Right eye, left eye, nose tip, right and left corner of the mouth (the person's right): x and y in turn.
using Points = std::array<float, 10>;

// Points on a grid of so many steps to the unit, a power of two. What a network answers in floats differs between
// processors in the last bits, and a crop cut by such points differs with it; cut by points on a grid it rarely does.
Points snapped(const Points &points, float steps);

// The geometry of agepred's models, in fractions of the crop's side: eyes 0.40 of the side apart at 0.29 of its
// height; the other points as in the 112-pixel ArcFace template (Deng et al., arXiv 1801.07698), scaled with them.
inline constexpr Points default_targets = {0.30000F, 0.29000F, 0.70000F, 0.29000F, 0.50127F,
                                           0.51860F, 0.33694F, 0.75278F, 0.66820F, 0.75095F};

inline constexpr int max_crop_side = 1024;

// The transform (u, v) -> (a u - b v + x, b u + a v + y).
struct Similarity {
    double a, b, x, y;

    [[nodiscard]] double scale() const;
    // Where the transform takes five points.
    [[nodiscard]] Points apply(const Points &points) const;
};

// The similarity with the least sum of squared distances (Umeyama, TPAMI 1991, without reflection). All coordinates
// must be finite. Throws Error(INVALID_ARGUMENT) where `from` coincide.
Similarity fit(const Points &from, const Points &to);

// Cuts the face with these points, in pixels of the picture, out of the picture: the fit of the targets onto the
// points, sampled as kernels/crop.hpp says. crop: side x side x 3 bytes, RGB. Returns the fit, which takes fractions
// of the crop's side to pixels of the picture.
// Throws Error(INVALID_ARGUMENT) for points that are not finite, absurdly far away, or all in one place.
Similarity align(const ImageView &image, const Points &points, const Points &targets, int side, std::uint8_t *crop);

} // namespace agepred::core
