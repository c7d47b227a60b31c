// The C ABI with real models: answers, errors, buffers, threads. Ends with 77 (skipped) where no models are named.
#include "agepred/agepred.h"

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "agepred/agepred.hpp"
#include "check.hpp"

namespace {

agepred_error fresh_error() { return {sizeof(agepred_error), {}}; }

// A face that any detector for faces takes for one cannot be drawn by hand: noise stands for pictures without one.
std::vector<std::uint8_t> noise(std::size_t size) {
    std::vector<std::uint8_t> bytes(size);
    std::uint32_t state = 1;
    for (std::uint8_t &byte : bytes) {
        state = state * 1664525U + 1013904223U; // Numerical Recipes' generator
        byte = static_cast<std::uint8_t>(state >> 24U);
    }
    return bytes;
}

agepred_status create(const agepred_options &options, std::string &message) {
    agepred_error error = fresh_error();
    agepred_estimator *estimator = nullptr;
    const agepred_status status = agepred_estimator_create(&options, &estimator, &error);
    message = error.message;
    CHECK((status == AGEPRED_OK) == (estimator != nullptr));
    agepred_estimator_free(estimator);
    return status;
}

void test_creation(const char *age_model, const char *face_model) {
    std::string message;
    const agepred_options good = agepred::options(age_model, face_model);
    CHECK(create(good, message) == AGEPRED_OK);

    agepred_options options = good;
    options.struct_size = 4;
    CHECK(create(options, message) == AGEPRED_INVALID_ARGUMENT);
    options = good;
    options.threads = -1;
    CHECK(create(options, message) == AGEPRED_INVALID_ARGUMENT && message.find("threads") != std::string::npos);
    for (const float score : {-0.5F, 1.5F, std::numeric_limits<float>::quiet_NaN()}) {
        options = good;
        options.min_score = score;
        CHECK(create(options, message) == AGEPRED_INVALID_ARGUMENT);
    }
    for (const float height : {-1.0F, 65536.0F, std::numeric_limits<float>::quiet_NaN()}) {
        options = good;
        options.smallest_face = height;
        CHECK(create(options, message) == AGEPRED_INVALID_ARGUMENT &&
              message.find("smallest_face") != std::string::npos);
    }
    options = good;
    options.points_model = "";
    CHECK(create(options, message) == AGEPRED_OK);
    options.points_model = age_model;
    CHECK(create(options, message) == AGEPRED_INVALID_MODEL &&
          message.find("agepred.task is age, not points") != std::string::npos);
    // Of a caller of 0.1.0, whose struct ended before these members: what lies there is not ours to read.
    options.struct_size = offsetof(agepred_options, points_model);
    options.smallest_face = -1;
    CHECK(create(options, message) == AGEPRED_OK);
    --options.struct_size;
    CHECK(create(options, message) == AGEPRED_INVALID_ARGUMENT);
    options = good;
    options.age_model = face_model; // an ONNX file, but not of an age model
    CHECK(create(options, message) == AGEPRED_INVALID_MODEL && message.find("agepred.format") != std::string::npos);
    options = good;
    options.face_model = age_model;
    CHECK(create(options, message) == AGEPRED_INVALID_MODEL &&
          message.find("agepred.task is age, not face") != std::string::npos);
    options = good;
    options.age_model = "no/such/model.onnx";
    CHECK(create(options, message) == AGEPRED_FILE_NOT_FOUND && message.find(options.age_model) != std::string::npos);
    options = good;
    options.onnxruntime_path = "/no/such/runtime.so";
    CHECK(create(options, message) == AGEPRED_RUNTIME_MISSING);

    agepred_error error = fresh_error();
    CHECK(agepred_estimator_create(&good, nullptr, &error) == AGEPRED_INVALID_ARGUMENT);
    CHECK(agepred_estimator_create(nullptr, nullptr, nullptr) == AGEPRED_INVALID_ARGUMENT); // no error struct: no crash
}

void test_pictures_without_faces(const agepred::Estimator &estimator) {
    const std::vector<std::uint8_t> pixels = noise(std::size_t{4} * 700 * 20);
    for (const agepred_pixel_format format : {AGEPRED_RGB, AGEPRED_BGR, AGEPRED_RGBA, AGEPRED_BGRA, AGEPRED_GRAY}) {
        for (const int width : {1, 2, 31, 33, 700}) {
            for (const int height : {1, 20}) {
                std::vector<float> probabilities(5);
                CHECK(estimator.predict(agepred::image(pixels.data(), width, height, format), &probabilities).empty());
                CHECK(probabilities.empty());
            }
        }
    }
}

void test_crops(const agepred::Estimator &estimator) {
    const agepred_estimator_info info = estimator.info();
    CHECK(info.age_count > 1 && info.crop_side > 0 && info.group_count > 0);
    const auto crop = noise(3 * static_cast<std::size_t>(info.crop_side) * static_cast<std::size_t>(info.crop_side));
    std::vector<float> probabilities(static_cast<std::size_t>(info.age_count));
    const agepred_age age = estimator.predict_crop(crop.data(), probabilities.data());
    double sum = 0;
    double mean = 0;
    for (std::size_t i = 0; i < probabilities.size(); ++i) {
        sum += probabilities[i];
        mean += probabilities[i] * (info.first_age + static_cast<double>(i));
    }
    CHECK(check::near(sum, 1, 1e-5) && check::near(mean, age.age, 1e-3));
    CHECK(age.low <= age.high && age.stddev >= 0 && age.group >= 0 && age.group < info.group_count);

    // Any number of threads may call at once, and each gets the same answer.
    std::vector<std::thread> threads;
    std::vector<int> differences(4, 0);
    for (std::size_t t = 0; t < differences.size(); ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 20; ++i) {
                differences[t] += estimator.predict_crop(crop.data()).age != age.age;
            }
        });
    }
    for (std::size_t t = 0; t < threads.size(); ++t) {
        threads[t].join();
        CHECK(differences[t] == 0);
    }
}

void test_structs(const char *age_model, const char *face_model) {
    agepred_error error = fresh_error();
    agepred_options options = agepred::options(age_model, face_model);
    agepred_estimator *estimator = nullptr;
    CHECK(agepred_estimator_create(&options, &estimator, &error) == AGEPRED_OK);
    const std::vector<std::uint8_t> pixels = noise(3 * 64 * 64);
    const agepred_image image = agepred::image(pixels.data(), 64, 64, AGEPRED_RGB);
    std::size_t count = 99;
    CHECK(agepred_predict(estimator, &image, nullptr, 0, nullptr, &count, &error) == AGEPRED_OK && count == 0);
    agepred_face unset[2] = {};
    CHECK(agepred_predict(estimator, &image, unset, 2, nullptr, &count, &error) == AGEPRED_INVALID_ARGUMENT);
    // Memory that nobody has set: a size that is no struct's would lead writes far beyond the array.
    for (const std::size_t size : {sizeof(agepred_face) - 1, std::size_t{4097}, SIZE_MAX}) {
        unset[0].struct_size = size;
        CHECK(agepred_predict(estimator, &image, unset, 2, nullptr, &count, &error) == AGEPRED_INVALID_ARGUMENT);
    }
    CHECK(agepred_predict(estimator, &image, unset, 2, nullptr, nullptr, &error) == AGEPRED_INVALID_ARGUMENT);
    CHECK(agepred_predict(nullptr, &image, nullptr, 0, nullptr, &count, nullptr) == AGEPRED_INVALID_ARGUMENT);
    agepred_estimator_free(estimator);

    agepred_runtime_info info{};
    info.struct_size = sizeof info;
    CHECK(agepred_runtime_describe(nullptr, &info, &error) == AGEPRED_OK);
    CHECK(info.onnxruntime_version[0] != '\0');
    info.struct_size = 3;
    CHECK(agepred_runtime_describe(nullptr, &info, &error) == AGEPRED_INVALID_ARGUMENT);
}

} // namespace

int main() {
    const char *age_model = std::getenv("AGE_MODEL");
    const char *face_model = std::getenv("FACE_MODEL");
    if (age_model == nullptr || face_model == nullptr || *age_model == '\0' || *face_model == '\0') {
        std::cout << "skipped: no models named (AGEPRED_TEST_AGE_MODEL, AGEPRED_TEST_FACE_MODEL)\n";
        return 77;
    }
    test_creation(age_model, face_model);
    const agepred::Estimator estimator(age_model, face_model);
    test_pictures_without_faces(estimator);
    test_crops(estimator);
    test_structs(age_model, face_model);
    return check::result();
}
