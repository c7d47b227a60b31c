#include "faces.hpp"

#include <algorithm>
#include <cmath>

namespace agepred::core {
namespace {

// Whether a face can be cut out at all: a box of finite numbers near some picture, and points near the box that are not
// all in one place. A network that is sound gives no other; one that is not shall neither fail nor stall the rest.
bool plausible(const Face &face) {
    constexpr float far = 4.0F * ImageView::max_side;
    const auto near = [](float number) { return std::abs(number) <= far; }; // false for NaN
    if (!near(face.x) || !near(face.y) || !near(face.width) || !near(face.height)) {
        return false;
    }
    // Within a box three times as large: the points of a face cut off by the picture lie a little outside of it.
    const auto beside = [](float point, float low, float size) {
        return std::abs(point - low - size / 2) <= 1.5F * size;
    };
    for (std::size_t i = 0; i < face.points.size(); i += 2) {
        if (!beside(face.points[i], face.x, face.width) || !beside(face.points[i + 1], face.y, face.height)) {
            return false;
        }
    }
    // The right eye and the left corner of the mouth are opposite ends of every face.
    return std::hypot(face.points[0] - face.points[8], face.points[1] - face.points[9]) >= 1.0F;
}

float score_of(const Grid &grid, std::size_t cell) {
    const float score = std::clamp(grid.score[cell], 0.0F, 1.0F);
    return grid.objectness.empty() ? score : std::sqrt(score * std::clamp(grid.objectness[cell], 0.0F, 1.0F));
}

// What the cell at (column, row) says.
Face face_at(const Grid &grid, std::size_t cell, float column, float row, float score) {
    const auto number = [&](std::span<const float> numbers, std::size_t channel) {
        return grid.planes ? numbers[channel * grid.cells() + cell]
                           : numbers[cell * (numbers.size() / grid.cells()) + channel];
    };
    const auto stride = static_cast<float>(grid.stride);
    Face face{};
    face.score = score;
    // Center within the grid and logarithms of the sizes, in strides.
    face.width = std::exp(number(grid.box, 2)) * stride;
    face.height = std::exp(number(grid.box, 3)) * stride;
    face.x = (column + number(grid.box, 0)) * stride - face.width / 2;
    face.y = (row + number(grid.box, 1)) * stride - face.height / 2;
    for (std::size_t i = 0; i < face.points.size(); i += 2) {
        face.points[i] = (column + number(grid.points, i)) * stride;
        face.points[i + 1] = (row + number(grid.points, i + 1)) * stride;
    }
    return face;
}

float common_area(const Face &one, const Face &other) {
    const float width = std::min(one.x + one.width, other.x + other.width) - std::max(one.x, other.x);
    const float height = std::min(one.y + one.height, other.y + other.height) - std::max(one.y, other.y);
    return width > 0 && height > 0 ? width * height : 0;
}

} // namespace

std::size_t Grid::cells() const { return static_cast<std::size_t>(columns) * static_cast<std::size_t>(rows); }

bool Grid::complete() const {
    return score.size() == cells() && (objectness.empty() || objectness.size() == cells()) &&
           box.size() == 4 * cells() && points.size() == 10 * cells();
}

void decode(const Grid &grid, float min_score, std::vector<Face> &faces) {
    std::size_t cell = 0;
    for (int row = 0; row < grid.rows; ++row) {
        for (int column = 0; column < grid.columns; ++column, ++cell) {
            const float score = score_of(grid, cell);
            if (!(score >= min_score)) { // also passes over NaN
                continue;
            }
            const Face face = face_at(grid, cell, static_cast<float>(column), static_cast<float>(row), score);
            if (plausible(face)) {
                faces.push_back(face);
            }
        }
    }
}

float overlap(const Face &one, const Face &other) {
    const float both = common_area(one, other);
    return both > 0 ? both / (one.width * one.height + other.width * other.height - both) : 0;
}

void suppress(std::vector<Face> &faces, float max_overlap) {
    std::sort(faces.begin(), faces.end(), [](const Face &a, const Face &b) { return a.score > b.score; });
    if (faces.size() > max_candidates) {
        faces.resize(max_candidates);
    }
    std::size_t kept = 0;
    for (const Face &candidate : faces) {
        const bool hidden = std::any_of(faces.begin(), faces.begin() + static_cast<std::ptrdiff_t>(kept),
                                        [&](const Face &face) { return overlap(face, candidate) > max_overlap; });
        if (!hidden) {
            faces[kept++] = candidate;
        }
    }
    faces.resize(kept);
}

void add_uncovered(const std::vector<Face> &more, std::vector<Face> &faces) {
    const std::size_t before = faces.size();
    for (const Face &face : more) {
        const bool covered =
            std::any_of(faces.begin(), faces.begin() + static_cast<std::ptrdiff_t>(before),
                        [&](const Face &other) { return common_area(face, other) > 0.5F * face.width * face.height; });
        if (!covered) {
            faces.push_back(face);
        }
    }
}

} // namespace agepred::core
