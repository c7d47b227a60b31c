// Decoding and suppression on grids made by hand; tests/python/test_detector.py compares with OpenCV on pictures.
#include "faces.hpp"

#include <cmath>
#include <limits>
#include <random>

#include "check.hpp"

using namespace agepred::core;

namespace {

struct Grid {
    std::vector<float> cls, obj, box, points;
    Grid(int columns, int rows)
        : cls(static_cast<std::size_t>(columns * rows)), obj(cls.size()), box(4 * cls.size()),
          points(10 * cls.size(), 0.0F) {}
    [[nodiscard]] YuNetGrid view(int stride, int columns, int rows) const {
        return {stride, columns, rows, cls, obj, box, points};
    }
};

Face square(float x, float y, float side, float score) { return {x, y, side, side, score, {}}; }

void test_decode() {
    Grid grid(4, 3);
    const std::size_t cell = 1 * 4 + 2; // row 1, column 2
    grid.cls[cell] = 0.81F;
    grid.obj[cell] = 1.0F;
    grid.box[4 * cell] = 0.5F;
    grid.box[4 * cell + 1] = 0.25F;
    grid.box[4 * cell + 2] = std::log(3.0F);
    grid.box[4 * cell + 3] = std::log(2.0F);
    for (std::size_t i = 0; i < 10; ++i) {
        grid.points[10 * cell + i] = 0.1F * static_cast<float>(i);
    }
    std::vector<Face> faces;
    decode(grid.view(16, 4, 3), 0.6F, faces);
    CHECK(faces.size() == 1);
    const Face &face = faces.at(0);
    CHECK(check::near(face.score, 0.9, 1e-6));
    CHECK(check::near(face.width, 48, 1e-4) && check::near(face.height, 32, 1e-4));
    CHECK(check::near(face.x, 2.5 * 16 - 24, 1e-4) && check::near(face.y, 1.25 * 16 - 16, 1e-4));
    CHECK(check::near(face.points[2], 2.2 * 16, 1e-4) && check::near(face.points[3], 1.3 * 16, 1e-4));

    faces.clear();
    decode(grid.view(16, 4, 3), 0.91F, faces);
    CHECK(faces.empty());
}

// Whatever a damaged model answers, decoding ends and gives only numbers that the next stage can use.
void test_hostile_outputs() {
    constexpr float inf = std::numeric_limits<float>::infinity();
    const float odd[] = {std::nanf(""), inf, -inf, 1e38F, -1e38F, 88.0F, 0.0F};
    std::mt19937 random(7); // NOLINT(cert-msc51-cpp): the same grids in each run
    std::vector<Face> faces;
    for (int round = 0; round < 300; ++round) {
        Grid grid(3, 3);
        for (std::vector<float> *numbers : {&grid.cls, &grid.obj, &grid.box, &grid.points}) {
            for (float &number : *numbers) {
                const float sane = static_cast<float>(random() % 100) / 50.0F;
                number = random() % 20 == 0 ? odd[random() % std::size(odd)] : sane;
            }
        }
        decode(grid.view(8, 3, 3), 0.5F, faces);
    }
    CHECK(!faces.empty());
    for (const Face &face : faces) {
        CHECK(std::isfinite(face.x) && std::isfinite(face.width) && face.score >= 0.5F && face.score <= 1.0F);
        for (const float coordinate : face.points) {
            CHECK(std::isfinite(coordinate));
        }
    }
    suppress(faces, 0.3F);
}

void test_incomplete_grid() {
    const Grid grid(4, 4);
    CHECK(grid.view(8, 4, 4).complete());
    CHECK(!grid.view(8, 4, 5).complete());
}

void test_overlap() {
    const Face face = square(0, 0, 10, 1);
    CHECK(check::near(overlap(face, face), 1, 1e-6));
    CHECK(overlap(face, square(10, 0, 10, 1)) == 0);
    CHECK(check::near(overlap(face, square(5, 0, 10, 1)), 50.0 / 150.0, 1e-6));
    CHECK(overlap(square(0, 0, 0, 1), square(0, 0, 0, 1)) == 0);
}

void test_suppress() {
    // The middle one hides both others; the last two hide nobody, but neither do they overlap with it.
    std::vector<Face> faces = {square(0, 0, 10, 0.7F), square(2, 0, 10, 0.9F), square(4, 0, 10, 0.8F),
                               square(50, 0, 10, 0.6F)};
    suppress(faces, 0.3F);
    CHECK(faces.size() == 2);
    CHECK(faces[0].score == 0.9F && faces[1].score == 0.6F);
    suppress(faces, 0.3F); // nothing more to do
    CHECK(faces.size() == 2);

    std::vector<Face> none;
    suppress(none, 0.3F);
    CHECK(none.empty());

    std::vector<Face> crowd;
    for (int i = 0; i < 20000; ++i) {
        crowd.push_back(square(static_cast<float>(20 * i), 0, 10, static_cast<float>(i) / 20000.0F));
    }
    suppress(crowd, 0.3F);
    CHECK(crowd.size() == max_candidates);
    CHECK(crowd[0].score > crowd[1].score);
}

void test_add_uncovered() {
    std::vector<Face> faces = {square(0, 0, 100, 0.9F)};
    // Inside, half outside and a bit more, beside, and one that covers the first but is not covered by it.
    const std::vector<Face> more = {square(10, 10, 20, 0.8F), square(91, 0, 20, 0.8F), square(200, 0, 20, 0.8F),
                                    square(-100, -100, 300, 0.8F)};
    add_uncovered(more, faces);
    CHECK(faces.size() == 4);
    CHECK(faces[0].width == 100 && faces[1].x == 91 && faces[2].x == 200 && faces[3].width == 300);
}

} // namespace

int main() {
    test_decode();
    test_hostile_outputs();
    test_incomplete_grid();
    test_overlap();
    test_suppress();
    test_add_uncovered();
    return check::result();
}
