#include "align.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/crop.hpp"
#include "status.hpp"

namespace agepred::core {
namespace {

// Sixteen times the largest picture: beyond it a point is a mistake, and arithmetic on indices might overflow.
constexpr float max_coordinate = 16.0F * ImageView::max_side;

void require(bool sound, const char *why) {
    if (!sound) {
        throw Error(AGEPRED_INVALID_ARGUMENT, why);
    }
}

void check(const Points &points, float limit, const char *why) {
    for (const float coordinate : points) {
        require(std::isfinite(coordinate) && std::abs(coordinate) <= limit, why);
    }
}

} // namespace

Points snapped(const Points &points, float steps) {
    Points near{};
    std::transform(points.begin(), points.end(), near.begin(),
                   [steps](float coordinate) { return std::round(coordinate * steps) / steps; });
    return near;
}

double Similarity::scale() const { return std::hypot(a, b); }

Points Similarity::apply(const Points &points) const {
    Points moved{};
    for (std::size_t i = 0; i < points.size(); i += 2) {
        moved[i] = static_cast<float>(a * points[i] - b * points[i + 1] + x);
        moved[i + 1] = static_cast<float>(b * points[i] + a * points[i + 1] + y);
    }
    return moved;
}

Similarity fit(const Points &from, const Points &to) {
    double from_x = 0;
    double from_y = 0;
    double to_x = 0;
    double to_y = 0;
    for (std::size_t i = 0; i < from.size(); i += 2) {
        from_x += from[i] / 5.0;
        from_y += from[i + 1] / 5.0;
        to_x += to[i] / 5.0;
        to_y += to[i + 1] / 5.0;
    }
    double dot = 0;
    double cross = 0;
    double norm = 0;
    for (std::size_t i = 0; i < from.size(); i += 2) {
        const double fx = from[i] - from_x;
        const double fy = from[i + 1] - from_y;
        const double tx = to[i] - to_x;
        const double ty = to[i + 1] - to_y;
        dot += fx * tx + fy * ty;
        cross += fx * ty - fy * tx;
        norm += fx * fx + fy * fy;
    }
    require(norm > 1e-6, "the target points of a crop must not coincide");
    const double a = dot / norm;
    const double b = cross / norm;
    return {a, b, to_x - (a * from_x - b * from_y), to_y - (b * from_x + a * from_y)};
}

Similarity align(const ImageView &image, const Points &points, const Points &targets, int side, std::uint8_t *crop) {
    require(side >= 1 && side <= max_crop_side, "the side of a crop must be from 1 to 1024 pixels");
    check(points, max_coordinate, "the points of a face must be finite and near the picture");
    check(targets, 16.0F, "the target points of a crop must be finite fractions of its side");
    const Similarity onto_picture = fit(targets, points);
    const double scale = onto_picture.scale();
    require(scale > 1e-3 && scale < 16.0 * ImageView::max_side, "the points of a face must not coincide");
    // From fractions of the side to pixels of the crop.
    const double a = onto_picture.a / side;
    const double b = onto_picture.b / side;
    kernels::cut_crop({image.pixels, image.width, image.height, image.stride, image.pixel_bytes, image.red, image.green,
                       image.blue, a, b, onto_picture.x, onto_picture.y},
                      side, crop);
    return onto_picture;
}

} // namespace agepred::core
