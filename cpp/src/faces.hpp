// Outputs of a face network to faces. Pure functions on memory that the caller keeps.
#pragma once

#include <span>
#include <vector>

#include "align.hpp"

namespace agepred::core {

struct Face {
    float x, y, width, height; // box, in pixels
    float score;               // 0 to 1
    Points points;             // in pixels
};

// What a network says on one grid: for a cell every `stride` pixels, row by row, a score, four numbers of a box and ten
// of the points, as docs/model_contract.md has them. The shape is YuNet's (Wu et al., "YuNet: A Tiny Millisecond-level
// Face Detector", 2023), whose files hold the numbers of a cell side by side; ours hold a plane for each number.
struct Grid {
    int stride;
    int columns;
    int rows;
    bool planes;
    std::span<const float> score;
    std::span<const float> objectness; // YuNet's: the score is the root of the product; empty: the score stands alone
    std::span<const float> box;
    std::span<const float> points;

    [[nodiscard]] std::size_t cells() const;
    // Whether every span has as many numbers as the grid has cells.
    [[nodiscard]] bool complete() const;
};

// Appends the cells whose score reaches min_score, in pixels of the network's input. Cells with numbers that are
// not finite are passed over. The grid must be complete.
void decode(const Grid &grid, float min_score, std::vector<Face> &faces);

// Intersection over union of two boxes, 0 to 1.
float overlap(const Face &one, const Face &other);

// Greedy non-maximum suppression in place: of faces that overlap by more than max_overlap the one with the higher
// score stays. At most max_candidates, those with the highest scores, are looked at. Ends in order of score.
inline constexpr std::size_t max_candidates = 5000;
void suppress(std::vector<Face> &faces, float max_overlap);

// Appends those of `more` that do not lie, by more than half of their area, in a face that is there already.
void add_uncovered(const std::vector<Face> &more, std::vector<Face> &faces);

} // namespace agepred::core
