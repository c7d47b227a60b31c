// The crop kernel: memory, mirror and mean; its geometry is tested through align.
#include "kernels/crop.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "check.hpp"

using namespace agepred::core::kernels;

namespace {

CropSource source_of(const std::vector<std::uint8_t> &gray, int width, int height) {
    return {gray.data(), width, height, width, 1, 0, 0, 0, 1, 0, 0, 0};
}

int cut_by_simd = 0;

// The crop by the definition; the vector form must cut the same, if it cuts it. The memory ends with the last pixel.
std::vector<std::uint8_t> cut(const CropSource &source, int side) {
    const auto size = static_cast<std::size_t>(3 * side * side);
    std::vector<std::uint8_t> crop(size);
    crop_scalar(source, side, crop.data());
    std::vector<std::uint8_t> other(size);
    if (crop_simd(source, side, other.data())) {
        ++cut_by_simd;
        CHECK(other == crop);
    }
    return crop;
}

// The identity transform copies, pixel for pixel, and the mirror stands about the center of the outermost pixel.
void test_identity_and_mirror() {
    const std::vector<std::uint8_t> row = {10, 20, 40, 80};
    CropSource source = source_of(row, 4, 1);
    source.x = -3;
    const std::vector<std::uint8_t> crop = cut(source, 12);
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
    for (const std::uint8_t value : cut(source, 16)) {
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
            for (const std::uint8_t pixel : cut(source, 9)) {
                CHECK(pixel == value);
            }
        }
    }
}

// A picture of noise in memory that ends where its last pixel does; rows may have gaps and run upward.
class Noise {
  public:
    Noise(std::mt19937 &random, int width, int height, int pixel_bytes) {
        const auto any = [&](int below) { return static_cast<int>(random() % static_cast<unsigned>(below)); };
        const std::ptrdiff_t row = std::ptrdiff_t{width} * pixel_bytes;
        const std::ptrdiff_t stride = row + any(2) * any(9);
        bytes_.resize(static_cast<std::size_t>(stride * (height - 1) + row));
        const bool extreme = any(2) == 0; // black and white show every wrong weight
        std::generate(bytes_.begin(), bytes_.end(),
                      [&] { return static_cast<std::uint8_t>(extreme ? 255 * any(2) : any(256)); });
        const bool upward = any(2) == 0;
        const int red = pixel_bytes == 1 ? 0 : any(2) * 2;
        source = {bytes_.data() + (upward ? stride * (height - 1) : 0),
                  width,
                  height,
                  upward ? -stride : stride,
                  pixel_bytes,
                  red,
                  pixel_bytes == 1 ? 0 : 1,
                  pixel_bytes == 1 ? 0 : 2 - red,
                  1,
                  0,
                  0,
                  0};
    }
    CropSource source{};

  private:
    std::vector<std::uint8_t> bytes_;
};

double pixel_at(const CropSource &source, double x, double y, int channel) {
    const auto mirrored = [](double index, int size) {
        const double period = std::max(1, 2 * (size - 1));
        const double i = std::fmod(std::abs(index), period);
        return static_cast<std::ptrdiff_t>(std::min(i, period - i));
    };
    const std::ptrdiff_t column = source.width == 1 ? 0 : mirrored(x, source.width);
    const std::ptrdiff_t row = source.height == 1 ? 0 : mirrored(y, source.height);
    return source.pixels[row * source.stride + column * source.pixel_bytes + channel];
}

// A crop pixel as the header defines it, in its plainest form.
double reference(const CropSource &source, int u, int v, int channel) {
    const double span = std::sqrt(source.a * source.a + source.b * source.b);
    const int n = std::clamp(static_cast<int>(std::ceil(span)), 1, max_samples);
    double sum = 0;
    for (int j = 0; j < n; ++j) {
        for (int i = 0; i < n; ++i) {
            const double cu = u + (i + 0.5) / n;
            const double cv = v + (j + 0.5) / n;
            const double x = source.a * cu - source.b * cv + source.x - 0.5;
            const double y = source.b * cu + source.a * cv + source.y - 0.5;
            const double fx = x - std::floor(x);
            const double fy = y - std::floor(y);
            const auto at = [&](int right, int down) {
                return pixel_at(source, std::floor(x) + right, std::floor(y) + down, channel);
            };
            sum += (1 - fy) * ((1 - fx) * at(0, 0) + fx * at(1, 0)) + fy * ((1 - fx) * at(0, 1) + fx * at(1, 1));
        }
    }
    return sum / (n * n);
}

void compare(const CropSource &source, int side) {
    const std::vector<std::uint8_t> crop = cut(source, side);
    const int channels[3] = {source.red, source.green, source.blue};
    std::size_t at = 0;
    for (int v = 0; v < side; ++v) {
        for (int u = 0; u < side; ++u) {
            for (const int channel : channels) {
                // Half a gray level for the rounding. Each coordinate is cut to CropGrid::bits twice, a weight once;
                // that moves up to 255 from one pixel to the next, and twice that between four.
                CHECK(check::near(crop[at++], reference(source, u, v, channel), 0.5 + 6 * 255.0 / CropGrid::one));
            }
        }
    }
}

// Any picture, any similarity, inside, across the border and far outside.
void test_reference() {
    std::mt19937 random(7); // NOLINT(cert-msc51-cpp): the same crops in each run
    const auto uniform = [&](double low, double high) {
        return std::uniform_real_distribution<double>(low, high)(random);
    };
    constexpr int crops = 1500;
    cut_by_simd = 0;
    for (int i = 0; i < crops; ++i) {
        const int pixel_bytes = i % 3 == 0 ? 1 : i % 3 == 1 ? 3 : 4;
        const int longest = i % 4 == 0 ? 4 : 90;
        Noise noise(random, std::uniform_int_distribution(1, longest)(random),
                    std::uniform_int_distribution(1, longest)(random), pixel_bytes);
        CropSource &source = noise.source;
        const int side = std::uniform_int_distribution(1, 17)(random);
        const double scale = std::exp(uniform(-3.0, i % 10 == 0 ? 3.5 : 1.5));
        const double angle = i % 5 == 0 ? 0 : uniform(-3.2, 3.2);
        source.a = scale * std::cos(angle);
        source.b = scale * std::sin(angle);
        // The crop's center: in the picture, and sometimes far away.
        const double reach = i % 7 == 0 ? 3.0 : 0.5;
        const double half = side / 2.0;
        source.x = source.width * uniform(0.5 - reach, 0.5 + reach) - (source.a - source.b) * half;
        source.y = source.height * uniform(0.5 - reach, 0.5 + reach) - (source.b + source.a) * half;
        compare(source, side);
    }
#if defined(__x86_64__)
    CHECK(__builtin_cpu_supports("sse4.1") == 0 || cut_by_simd > crops / 3);
#endif
}

// Samples on the centers of the outermost pixels, and crops that end where the mirror images do.
void test_edges() {
    std::mt19937 random(8); // NOLINT(cert-msc51-cpp): the same pictures in each run
    for (const int pixel_bytes : {1, 3, 4}) {
        for (const int size : {2, 3, 5, 8, 16}) {
            Noise noise(random, size, size, pixel_bytes);
            for (int shift = -3 * size; shift <= 3 * size; ++shift) {
                noise.source.x = shift / 2.0;
                noise.source.y = -shift / 2.0;
                compare(noise.source, size);
                compare(noise.source, 4);
            }
        }
    }
}

} // namespace

int main() {
    test_identity_and_mirror();
    test_antialiasing();
    test_constant();
    test_reference();
    test_edges();
    return check::result();
}
