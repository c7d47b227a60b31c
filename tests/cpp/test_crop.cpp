// The crop kernel: memory, mirror and mean; its geometry is tested through align.
#include "kernels/crop.hpp"

#include <vector>

#include "check.hpp"

using namespace agepred::core::kernels;

namespace {

CropSource source_of(const std::vector<std::uint8_t> &gray, int width, int height) {
    return {gray.data(), width, height, width, 1, 0, 0, 0, 1, 0, 0, 0};
}

// The identity transform copies, pixel for pixel, and the mirror stands about the center of the outermost pixel.
void test_identity_and_mirror() {
    const std::vector<std::uint8_t> row = {10, 20, 40, 80};
    CropSource source = source_of(row, 4, 1);
    source.x = -3;
    std::vector<std::uint8_t> crop(3 * 12 * 12);
    crop_scalar(source, 12, crop.data());
    const int expected[] = {80, 40, 20, 10, 20, 40, 80, 40, 20, 10, 20, 40};
    for (std::size_t u = 0; u < 12; ++u) {
        CHECK(crop[3 * u] == expected[u]);
        CHECK(crop[3 * (5 * 12 + u)] == expected[u]); // one row, mirrored, is itself everywhere
    }
}

// Shrinking a checkerboard gives its mean, where a single sample would give one of its two values.
void test_antialiasing() {
    constexpr int size = 64;
    std::vector<std::uint8_t> board(size * size);
    for (int y = 0; y < size; ++y) {
        for (int x = 0; x < size; ++x) {
            board[static_cast<std::size_t>(y * size + x)] = (x + y) % 2 == 0 ? 200 : 100;
        }
    }
    CropSource source = source_of(board, size, size);
    source.a = 4;
    std::vector<std::uint8_t> crop(3 * 16 * 16);
    crop_scalar(source, 16, crop.data());
    for (const std::uint8_t value : crop) {
        CHECK(value == 150);
    }
}

// A constant picture stays constant under every transform and at every border: weights sum to one.
void test_constant() {
    for (const int value : {0, 1, 127, 254, 255}) {
        const std::vector<std::uint8_t> flat(7 * 5, static_cast<std::uint8_t>(value));
        for (const double scale : {0.1, 0.9, 1.5, 3.3, 40.0}) {
            CropSource source = source_of(flat, 7, 5);
            source.a = 0.8 * scale;
            source.b = -0.6 * scale;
            source.x = -2.3;
            std::vector<std::uint8_t> crop(3 * 9 * 9);
            crop_scalar(source, 9, crop.data());
            for (const std::uint8_t pixel : crop) {
                CHECK(pixel == value);
            }
        }
    }
}

} // namespace

int main() {
    test_identity_and_mirror();
    test_antialiasing();
    test_constant();
    return check::result();
}
