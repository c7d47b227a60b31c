// Explanations through the C ABI, by a model whose map can be told in advance, and files that cannot explain.
#include "age_model.hpp"

#include <cstdlib>
#include <cstring>
#include <vector>

#include "agepred/agepred.hpp"
#include "check.hpp"
#include "tiny_models.hpp"

namespace {

std::string refusal(const tiny::AgeModel &model) {
    const tiny::ModelFile file("age_model_refused.onnx", model.bytes());
    try {
        const agepred::Estimator estimator(agepred::options(file.path()));
    } catch (const agepred::Failure &failure) {
        CHECK(failure.status() == AGEPRED_INVALID_MODEL);
        CHECK(std::strstr(failure.what(), file.path()) != nullptr);
        return failure.what();
    }
    return "taken";
}

bool says(const std::string &message, const char *words) { return message.find(words) != std::string::npos; }

// Gray but for one red cell.
std::vector<std::uint8_t> crop_with_a_red_cell(std::size_t row, std::size_t column) {
    std::vector<std::uint8_t> crop(3 * 32 * 32, 100);
    for (std::size_t y = 8 * row; y < 8 * row + 8; ++y) {
        for (std::size_t x = 8 * column; x < 8 * column + 8; ++x) {
            crop[3 * (32 * y + x)] = 250;
        }
    }
    return crop;
}

void test_explanation() {
    const tiny::AgeModel model;
    const tiny::ModelFile file("age_model.onnx", model.bytes());
    const agepred::Estimator estimator(agepred::options(file.path()));
    const agepred_estimator_info info = estimator.info();
    CHECK(info.map_rows == 4 && info.map_columns == 4 && info.map_first == 0.5F && info.map_step == 8.0F);

    const std::vector<std::uint8_t> crop = crop_with_a_red_cell(1, 2);
    std::vector<float> p(static_cast<std::size_t>(info.age_count));
    std::vector<float> map;
    const agepred_age age = estimator.explain_crop(crop.data(), map, p.data());
    CHECK(age.age == estimator.predict_crop(crop.data()).age);
    CHECK(map.size() == 16);

    // By hand: the temperature is 2, a cell is the mean of each color.
    double mean = 0;
    for (std::size_t k = 0; k < p.size(); ++k) {
        mean += static_cast<double>(p[k]) * static_cast<double>(k);
    }
    CHECK(check::near(age.age, 10 + mean, 1e-4));
    for (std::size_t cell = 0; cell < map.size(); ++cell) {
        const double colors[3] = {cell == 6 ? 250.0 : 100.0, 100.0, 100.0};
        double expected = 0;
        for (std::size_t c = 0; c < 3; ++c) {
            for (std::size_t k = 0; k < p.size(); ++k) {
                expected += static_cast<double>(p[k]) * (static_cast<double>(k) - mean) / 2 *
                            static_cast<double>(model.weights[3 * k + c]) * colors[c] / 16;
            }
        }
        CHECK(check::near(map[cell], expected, 1e-5));
    }
}

void test_files_that_cannot_explain() {
    tiny::AgeModel model;
    model.explains = false;
    const tiny::ModelFile file("age_model_plain.onnx", model.bytes());
    const agepred::Estimator estimator(agepred::options(file.path()));
    CHECK(estimator.info().map_rows == 0 && estimator.info().map_columns == 0);
    const std::vector<std::uint8_t> crop(3 * 32 * 32, 7);
    std::vector<float> map;
    const auto cannot = [&](const agepred::Failure &failure) {
        return failure.status() == AGEPRED_INVALID_MODEL && says(failure.what(), "no output features") &&
               says(failure.what(), "agepred export");
    };
    CHECK(check::throws<agepred::Failure>([&] { (void)estimator.explain_crop(crop.data(), map); }, cannot));
    CHECK(estimator.predict_crop(crop.data()).age > 0);
}

void test_features_of_a_wrong_shape_are_refused() {
    using tiny::value;
    const auto with = [](const tiny::Bytes &features) {
        tiny::AgeModel model;
        model.features = features;
        return model;
    };
    CHECK(refusal({}) == "taken");
    tiny::AgeModel model = with(value("features", 1, {0, 48}));
    model.flat = true;
    CHECK(says(refusal(model), "an output features, float32 [N,C,h,w]"));
    model = with(value("features", 1, {0, 6, 4, 4}));
    model.copies = 2;
    CHECK(says(refusal(model), "has 6 channels, its linear layer takes 3"));
    model = {};
    model.transposed = false;
    CHECK(says(refusal(model), "not made by a linear layer"));
    for (const char *key : {"agepred.features.first", "agepred.features.step"}) {
        model = {};
        model.keys.erase(key);
        CHECK(says(refusal(model), key));
    }
}

// A caller of 0.1.0, whose struct ended before the map.
void test_older_structs() {
    const tiny::ModelFile file("age_model.onnx", tiny::AgeModel().bytes());
    const agepred_options options = agepred::options(file.path());
    agepred_error error{sizeof error, {}};
    agepred_estimator *estimator = nullptr;
    CHECK(agepred_estimator_create(&options, &estimator, &error) == AGEPRED_OK);
    agepred_estimator_info info{};
    info.map_rows = 77;
    info.struct_size = offsetof(agepred_estimator_info, map_rows);
    CHECK(agepred_estimator_describe(estimator, &info, &error) == AGEPRED_OK);
    CHECK(info.map_rows == 77 && info.crop_side == 32);
    --info.struct_size;
    CHECK(agepred_estimator_describe(estimator, &info, &error) == AGEPRED_INVALID_ARGUMENT);

    const std::vector<std::uint8_t> crop(3 * 32 * 32, 7);
    agepred_age age{};
    age.struct_size = sizeof age;
    CHECK(agepred_explain_crop(estimator, crop.data(), &age, nullptr, nullptr, &error) == AGEPRED_INVALID_ARGUMENT);
    CHECK(agepred_explain_crop(nullptr, crop.data(), &age, nullptr, nullptr, nullptr) == AGEPRED_INVALID_ARGUMENT);
    agepred_estimator_free(estimator);
}

} // namespace

int main() {
    const char *runtime = std::getenv("AGEPRED_ONNXRUNTIME");
    if (runtime == nullptr || *runtime == '\0') {
        std::cout << "skipped: no ONNX Runtime named (AGEPRED_TEST_RUNTIME)\n";
        return 77;
    }
    test_explanation();
    test_files_that_cannot_explain();
    test_features_of_a_wrong_shape_are_refused();
    test_older_structs();
    return check::result();
}
