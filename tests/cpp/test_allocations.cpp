// "Nothing is allocated per frame in our own code once warm": counted, against ONNX Runtime's own share.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <new>
#include <vector>

#include "agepred/agepred.hpp"
#include "check.hpp"
#include "onnx/model.hpp"
#include "tiny_models.hpp"

namespace {

std::atomic<long> allocations = 0;

} // namespace

// Every allocation of C++ in this process, ONNX Runtime's included. Not inlined: GCC would take malloc and free here
// for mismatched partners of delete and new.
[[gnu::noinline]] void *operator new(std::size_t size) {
    ++allocations;
    if (void *memory = std::malloc(size)) {
        return memory;
    }
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void *memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void *memory, std::size_t) noexcept { std::free(memory); }

namespace {

namespace core = agepred::core;

// Allocations of one call, after two to warm up.
template <class Work> long count(Work work) {
    work();
    work();
    const long before = allocations;
    work();
    return allocations - before;
}

// What ONNX Runtime itself allocates for a run. Where this program counts our own share, the difference must be
// nothing.
template <class Number> long runtime_share(const core::onnx::Model &model, std::vector<std::int64_t> shape) {
    std::size_t size = 1;
    for (const std::int64_t side : shape) {
        size *= static_cast<std::size_t>(side);
    }
    const std::vector<Number> input(size);
    return count([&] {
        const core::onnx::Results results = model.run(std::span<const Number>(input), shape);
        for (std::size_t i = 0; i < model.outputs().size(); ++i) {
            CHECK(!results.floats(i).empty());
        }
    });
}

void test_align() {
    const std::vector<std::uint8_t> pixels(3 * 90 * 90, 7);
    const agepred_image image = agepred::image(pixels.data(), 90, 90, AGEPRED_RGB);
    const float points[10] = {30, 30, 60, 30, 45, 45, 33, 60, 57, 60};
    std::vector<std::uint8_t> crop(3 * 112 * 112);
    agepred_error error{sizeof error, {}};
    CHECK(count([&] { agepred_align(&image, points, nullptr, 112, crop.data(), &error); }) == 0);
}

void test_predict_crop(const char *age_model) {
    const core::onnx::Model model(core::onnx::Runtime::open(nullptr), age_model, {});
    const agepred::Estimator estimator(agepred::options(age_model));
    const std::int64_t side = estimator.info().crop_side;
    const std::vector<std::uint8_t> crop(static_cast<std::size_t>(3 * side * side), 100);
    const auto logits = std::ranges::find(model.outputs(), "logits", &core::onnx::TensorSpec::name);
    const std::array<std::size_t, 1> asked = {static_cast<std::size_t>(logits - model.outputs().begin())};
    const std::array<std::int64_t, 4> shape = {1, 3, side, side};
    const long ours = count([&] { (void)estimator.predict_crop(crop.data()); });
    CHECK(ours == count([&] { (void)model.run(std::span(crop), shape, asked).floats(asked[0]); }));
}

// With the output features in the file: an answer does not ask for it, an explanation does, and neither allocates.
void test_explain_crop() {
    const tiny::ModelFile file("allocations_age.onnx", tiny::AgeModel().bytes());
    const core::onnx::Model model(core::onnx::Runtime::open(nullptr), file.path(), {});
    const agepred::Estimator estimator(agepred::options(file.path()));
    const std::vector<std::uint8_t> crop(3 * 32 * 32, 100);
    const std::array<std::int64_t, 4> shape = {1, 3, 32, 32};
    const std::array<std::size_t, 1> logits = {1}; // its place in the file
    const long answered = count([&] { (void)model.run(std::span(crop), shape, logits).floats(1); });
    CHECK(count([&] { (void)estimator.predict_crop(crop.data()); }) == answered);
    std::vector<float> map;
    const long explained = count([&] { (void)estimator.explain_crop(crop.data(), map); });
    CHECK(explained == runtime_share<std::uint8_t>(model, {1, 3, 32, 32}));
}

// Counts a detection in a picture of the side; the number of faces must be the expected one.
long count_detection(const agepred_options &options, int side, std::size_t expected) {
    agepred_detector *detector = nullptr;
    agepred_error error{sizeof error, {}};
    CHECK(agepred_detector_create(&options, &detector, &error) == AGEPRED_OK);
    const std::vector<std::uint8_t> pixels(static_cast<std::size_t>(3 * side * side), 128);
    const agepred_image image = agepred::image(pixels.data(), side, side, AGEPRED_RGB);
    std::vector<agepred_detection> found(16);
    found[0].struct_size = sizeof found[0];
    std::size_t faces = 0;
    const long ours = count([&] { agepred_detect(detector, &image, found.data(), found.size(), &faces, &error); });
    agepred_detector_free(detector);
    CHECK(faces == expected);
    return ours;
}

void test_detect(const char *face_model) {
    const core::onnx::Model model(core::onnx::Runtime::open(nullptr), face_model, {});
    // No face: a second look, with a border of 19 pixels that makes 64 + 38 up to 128.
    CHECK(count_detection(agepred::options(nullptr, face_model), 64, 0) ==
          runtime_share<float>(model, {1, 3, 64, 64}) + runtime_share<float>(model, {1, 3, 128, 128}));
}

// Our own format, with a refiner, on pictures that fit and such that are shrunk. The second look is YuNet's above: with
// inputs of two sizes in turn ONNX Runtime's share of this model varies by one from session to session.
void test_detect_and_refine() {
    const tiny::ModelFile faces("allocations_faces.onnx", tiny::face_model(0.9F));
    const tiny::ModelFile points("allocations_points.onnx",
                                 tiny::points_model({0.3F, 0.3F, 0.7F, 0.3F, 0.5F, 0.5F, 0.3F, 0.7F, 0.7F, 0.7F}, 64));
    const auto runtime = core::onnx::Runtime::open(nullptr);
    const core::onnx::Model face_model(runtime, faces.path(), {});
    const core::onnx::Model points_model(runtime, points.path(), {});
    const long small = runtime_share<std::uint8_t>(face_model, {1, 3, 64, 64});
    const long refined = runtime_share<std::uint8_t>(points_model, {1, 3, 64, 64});

    agepred_options options = agepred::options(nullptr, faces.path());
    CHECK(count_detection(options, 64, 4) == small);
    options.points_model = points.path();
    CHECK(count_detection(options, 64, 4) == small + 4 * refined);
    options.max_side = 64;
    CHECK(count_detection(options, 200, 4) == small + 4 * refined);
}

} // namespace

int main() {
    test_align();
    const char *runtime = std::getenv("AGEPRED_ONNXRUNTIME");
    if (runtime != nullptr && *runtime != '\0') {
        test_detect_and_refine();
        test_explain_crop();
    }
    const char *age_model = std::getenv("AGE_MODEL");
    const char *face_model = std::getenv("FACE_MODEL");
    if (age_model == nullptr || face_model == nullptr || *age_model == '\0' || *face_model == '\0') {
        std::cout << "skipped: no models named (AGEPRED_TEST_AGE_MODEL, AGEPRED_TEST_FACE_MODEL)\n";
        return check::failures == 0 ? 77 : 1;
    }
    test_predict_crop(age_model);
    test_detect(face_model);
    return check::result();
}
