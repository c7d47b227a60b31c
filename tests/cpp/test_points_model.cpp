// Where a refiner's answers land; tests/python/test_points_model.py tests the rest on pictures.
#include "points_model.hpp"

#include <cstdlib>

#include "agepred/agepred.hpp"
#include "check.hpp"
#include "tiny_models.hpp"

using namespace agepred::core;

namespace {

constexpr int side = 64;
constexpr float step = 1.0F / 8192; // of the crop's side

// The points of a face whose crop is the whole picture, refined by a network that answers these.
Points refined(const std::array<float, 10> &answer) {
    const tiny::ModelFile file("points_model.onnx", tiny::points_model(answer, side));
    const PointsModel model(onnx::Runtime::open(nullptr), file.path(), {});
    const std::vector<std::uint8_t> pixels(3 * side * side, 100);
    const agepred_image image = agepred::image(pixels.data(), side, side, AGEPRED_RGB);
    Points points = {0.3F, 0.29F, 0.7F, 0.29F, 0.5F, 0.52F, 0.34F, 0.75F, 0.67F, 0.75F}; // points_keys() has them
    for (float &coordinate : points) {
        coordinate *= side;
    }
    PointsModel::Workspace workspace;
    model.refine(view(&image), points, workspace);
    return points;
}

// Processors' floats differ in the last bits. What follows must not.
void test_answers_land_on_a_grid() {
    const std::array<float, 10> answer = {0.31F, 0.3F, 0.72F, 0.28F, 0.51F, 0.5F, 0.3F, 0.77F, 0.7F, -0.1F};
    std::array<float, 10> on_grid{};
    for (std::size_t i = 0; i < answer.size(); ++i) {
        on_grid[i] = std::round(answer[i] / step) * step;
    }
    const Points expected = refined(on_grid);
    for (std::size_t i = 0; i < answer.size(); ++i) {
        CHECK(check::near(expected[i], on_grid[i] * side, 1e-4));
    }
    CHECK(refined(answer) == expected);
    for (const float shift : {-0.49F, -0.01F, 0.01F, 0.49F}) {
        std::array<float, 10> near_by = on_grid;
        for (float &coordinate : near_by) {
            coordinate += shift * step;
        }
        CHECK(refined(near_by) == expected);
    }
    std::array<float, 10> next = on_grid;
    next[3] += 0.51F * step;
    CHECK(check::near(refined(next)[3], expected[3] + step * side, 1e-4));
}

} // namespace

int main() {
    const char *runtime = std::getenv("AGEPRED_ONNXRUNTIME");
    if (runtime == nullptr || *runtime == '\0') {
        std::cout << "skipped: no ONNX Runtime named (AGEPRED_TEST_RUNTIME)\n";
        return 77;
    }
    test_answers_land_on_a_grid();
    return check::result();
}
