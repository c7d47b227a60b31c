// Why this age: Grad-CAM of the mean age, in closed form. Pure functions.
#pragma once

#include <cstddef>
#include <span>

namespace agepred::core {

// How far the mean age moves with each channel's mean over the map, in years: the derivative of the mean of
// softmax(weights x means / temperature).
//   weights  a row an age, slopes.size() numbers each
//   slopes   filled, one a channel
void age_slopes(std::span<const float> probabilities, float temperature, std::span<const float> weights,
                std::span<float> slopes);

// Grad-CAM before its ReLU, in years: what each cell of a map adds to the mean age, or takes from it where negative.
// With s the slopes, cell i of n gets the sum over channels of s[c] features[c][i] / n.
//   features  slopes.size() x map.size() numbers, a channel after the other
//   map       filled, one a cell, rows top down
void age_map(std::span<const float> slopes, std::span<const float> features, std::span<float> map);

} // namespace agepred::core
