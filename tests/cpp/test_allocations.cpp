// "Nothing is allocated per frame in our own code once warm": counted, against ONNX Runtime's own share.
#include <atomic>
#include <cstdlib>
#include <iostream>
#include <new>
#include <vector>

#include "agepred/agepred.hpp"
#include "check.hpp"
#include "onnx/model.hpp"

namespace {

std::atomic<long> allocations = 0;

} // namespace

// Every allocation of C++ in this process, ONNX Runtime's included.
void *operator new(std::size_t size) {
    ++allocations;
    if (void *memory = std::malloc(size)) {
        return memory;
    }
    throw std::bad_alloc();
}
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, std::size_t) noexcept { std::free(memory); }

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

// What ONNX Runtime itself allocates for a run.
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
    const long ours = count([&] { (void)estimator.predict_crop(crop.data()); });
    CHECK(ours == runtime_share<std::uint8_t>(model, {1, 3, side, side}));
}

void test_detect(const char *face_model) {
    const core::onnx::Model model(core::onnx::Runtime::open(nullptr), face_model, {});
    const agepred_options options = agepred::options(nullptr, face_model);
    agepred_detector *detector = nullptr;
    agepred_error error{sizeof error, {}};
    CHECK(agepred_detector_create(&options, &detector, &error) == AGEPRED_OK);
    const std::vector<std::uint8_t> pixels(3 * 64 * 64, 128);
    const agepred_image image = agepred::image(pixels.data(), 64, 64, AGEPRED_RGB);
    std::size_t faces = 1;
    const long ours = count([&] { agepred_detect(detector, &image, nullptr, 0, &faces, &error); });
    agepred_detector_free(detector);
    CHECK(faces == 0);
    // No face: a second look, with a border of 19 pixels that makes 64 + 38 up to 128.
    CHECK(ours == runtime_share<float>(model, {1, 3, 64, 64}) + runtime_share<float>(model, {1, 3, 128, 128}));
}

} // namespace

int main() {
    test_align();
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
