// Decoding and suppression on grids made by hand; tests/python/test_detector.py compares with OpenCV on pictures.
#include "faces.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "check.hpp"

using namespace agepred::core;

namespace {

// Numbers in YuNet's layout, those of a cell side by side.
struct Numbers {
    int columns, rows;
    std::vector<float> cls, obj, box, points;
    Numbers(int columns_, int rows_)
        : columns(columns_), rows(rows_), cls(static_cast<std::size_t>(columns * rows)), obj(cls.size()),
          box(4 * cls.size()), points(10 * cls.size(), 0.0F) {}
    [[nodiscard]] Grid view(int stride) const { return {stride, columns, rows, false, cls, obj, box, points}; }
};

Face square(float x, float y, float side, float score) { return {x, y, side, side, score, {}}; }

void test_decode() {
    Numbers grid(4, 3);
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
    decode(grid.view(16), 0.6F, faces);
    CHECK(faces.size() == 1);
    const Face &face = faces.at(0);
    CHECK(check::near(face.score, 0.9, 1e-6));
    CHECK(check::near(face.width, 48, 1e-4) && check::near(face.height, 32, 1e-4));
    CHECK(check::near(face.x, 2.5 * 16 - 24, 1e-4) && check::near(face.y, 1.25 * 16 - 16, 1e-4));
    CHECK(check::near(face.points[2], 2.2 * 16, 1e-4) && check::near(face.points[3], 1.3 * 16, 1e-4));

    faces.clear();
    decode(grid.view(16), 0.91F, faces);
    CHECK(faces.empty());
}

// Whatever a damaged model answers, decoding ends and gives only numbers that the next stage can use.
void test_hostile_outputs() {
    constexpr float inf = std::numeric_limits<float>::infinity();
    const float odd[] = {std::nanf(""), inf, -inf, 1e38F, -1e38F, 88.0F, 0.0F};
    std::mt19937 random(7); // NOLINT(cert-msc51-cpp): the same grids in each run
    std::vector<Face> faces;
    for (int round = 0; round < 300; ++round) {
        Numbers grid(3, 3);
        for (std::vector<float> *numbers : {&grid.cls, &grid.obj, &grid.box, &grid.points}) {
            for (float &number : *numbers) {
                const float sane = static_cast<float>(random() % 100) / 50.0F;
                number = random() % 20 == 0 ? odd[random() % std::size(odd)] : sane;
            }
        }
        decode(grid.view(8), 0.5F, faces);
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

// Turns numbers cell by cell into planes.
std::vector<float> transposed(const std::vector<float> &numbers, std::size_t channels) {
    std::vector<float> planes(numbers.size());
    const std::size_t cells = numbers.size() / channels;
    for (std::size_t cell = 0; cell < cells; ++cell) {
        for (std::size_t k = 0; k < channels; ++k) {
            planes[k * cells + cell] = numbers[cell * channels + k];
        }
    }
    return planes;
}

bool same(const Face &one, const Face &other) {
    return one.x == other.x && one.y == other.y && one.width == other.width && one.height == other.height &&
           one.score == other.score && one.points == other.points;
}

// The same numbers in YuNet's layout and in ours are the same faces, to the bit; objectness may stand on either side.
void test_layouts_agree() {
    std::mt19937 random(3); // NOLINT(cert-msc51-cpp): the same grids in each run
    const auto uniform = [&] { return static_cast<float>(random() % 10000) / 10000.0F; };
    Numbers rows(7, 5);
    std::vector<float> score;
    for (std::size_t cell = 0; cell < rows.cls.size(); ++cell) {
        (cell % 2 == 0 ? rows.cls : rows.obj)[cell] = uniform();
        (cell % 2 == 0 ? rows.obj : rows.cls)[cell] = 1.0F;
        score.push_back(std::sqrt(rows.cls[cell] * rows.obj[cell]));
    }
    for (std::vector<float> *numbers : {&rows.box, &rows.points}) {
        std::generate(numbers->begin(), numbers->end(), uniform);
    }
    const std::vector<float> box = transposed(rows.box, 4);
    const std::vector<float> points = transposed(rows.points, 10);
    const Grid planes{32, 7, 5, true, score, {}, box, points};
    CHECK(planes.complete());
    std::vector<Face> of_rows;
    std::vector<Face> of_planes;
    decode(rows.view(32), 0.5F, of_rows);
    decode(planes, 0.5F, of_planes);
    CHECK(of_rows.size() > 20 && of_rows.size() < 35);
    CHECK(of_rows.size() == of_planes.size() &&
          std::equal(of_rows.begin(), of_rows.end(), of_planes.begin(), of_planes.end(), same));
}

void test_incomplete_grid() {
    const Numbers numbers(4, 4);
    const Grid grid = numbers.view(8);
    CHECK(grid.complete());
    Grid larger = grid;
    larger.rows = 5;
    CHECK(!larger.complete());
    Grid alone = grid;
    alone.objectness = {};
    CHECK(alone.complete()); // a score alone
    alone.box = alone.box.first(63);
    CHECK(!alone.complete());
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
    test_layouts_agree();
    test_incomplete_grid();
    test_overlap();
    test_suppress();
    test_add_uncovered();
    return check::result();
}
