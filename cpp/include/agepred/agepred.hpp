// The C++ face of libagepred: handles that free themselves, exceptions, spans. It adds no logic of its own; units,
// ownership and thread rules stand in agepred.h. C++20, header only.
//
//     agepred::Estimator estimator("models/age/int8.onnx", "face.onnx");
//     for (const agepred_face &face : estimator.predict(agepred::image(pixels, width, height, AGEPRED_RGB)))
//         use(face.age, face.low, face.high);
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "agepred.h"

namespace agepred {

// A failed call: its status, and in what() the library's message.
class Failure : public std::runtime_error {
  public:
    Failure(agepred_status status, const char *message) : std::runtime_error(message), status_(status) {}
    [[nodiscard]] agepred_status status() const noexcept { return status_; }

  private:
    agepred_status status_;
};

namespace detail {
// Calls a function of the C ABI, its error struct supplied as the last argument; throws Failure.
template <class Function, class... Arguments> void call(Function function, Arguments... arguments) {
    agepred_error error{sizeof error, {}};
    if (const agepred_status status = function(arguments..., &error); status != AGEPRED_OK) {
        throw Failure(status, error.message);
    }
}

// Calls a function that fills an array of unknown length, again with more room until it all fits.
template <class Result, class Fill> std::vector<Result> collect(Fill fill) {
    std::vector<Result> results(32); // more faces than most pictures hold: a second call costs a second run
    for (;;) {
        results[0].struct_size = sizeof(Result);
        std::size_t count = 0;
        agepred_error error{sizeof error, {}};
        const agepred_status status = fill(results, count, error);
        if (status != AGEPRED_OK && status != AGEPRED_BUFFER_TOO_SMALL) {
            throw Failure(status, error.message);
        }
        results.resize(count);
        if (status == AGEPRED_OK) {
            return results;
        }
    }
}
} // namespace detail

// Options with their size set; the rest is for the caller to fill.
inline agepred_options options(const char *age_model = nullptr, const char *face_model = nullptr,
                               const char *points_model = nullptr) {
    agepred_options result{};
    result.struct_size = sizeof result;
    result.age_model = age_model;
    result.face_model = face_model;
    result.points_model = points_model;
    return result;
}

// Describes borrowed pixels. stride in bytes; 0: rows without gaps.
inline agepred_image image(const std::uint8_t *pixels, int width, int height, agepred_pixel_format format,
                           std::ptrdiff_t stride = 0) {
    const int colors = format == AGEPRED_RGB || format == AGEPRED_BGR ? 3 : 4;
    const int pixel_bytes = format == AGEPRED_GRAY ? 1 : colors;
    return {sizeof(agepred_image),
            pixels,
            width,
            height,
            stride != 0 ? stride : std::ptrdiff_t{width} * pixel_bytes,
            format};
}

class Detector {
  public:
    explicit Detector(const agepred_options &options) {
        agepred_detector *handle = nullptr;
        detail::call(agepred_detector_create, &options, &handle);
        handle_.reset(handle);
    }

    [[nodiscard]] std::vector<agepred_detection> detect(const agepred_image &image) const {
        return detail::collect<agepred_detection>([&](auto &results, std::size_t &count, agepred_error &error) {
            return agepred_detect(handle_.get(), &image, results.data(), results.size(), &count, &error);
        });
    }

  private:
    struct Free {
        void operator()(agepred_detector *handle) const { agepred_detector_free(handle); }
    };
    std::unique_ptr<agepred_detector, Free> handle_;
};

// Cuts a crop of side x side x 3 bytes; points and targets as in agepred_align.
inline void align(const agepred_image &image, std::span<const float, 10> points, const float *targets, int side,
                  std::uint8_t *crop) {
    detail::call(agepred_align, &image, points.data(), targets, side, crop);
}

class Estimator {
  public:
    explicit Estimator(const agepred_options &options) {
        agepred_estimator *handle = nullptr;
        detail::call(agepred_estimator_create, &options, &handle);
        handle_.reset(handle);
    }
    Estimator(const std::string &age_model, const std::string &face_model, const std::string &points_model = {})
        : Estimator(options(age_model.c_str(), face_model.c_str(), points_model.c_str())) {}

    [[nodiscard]] agepred_estimator_info info() const {
        agepred_estimator_info info{};
        info.struct_size = sizeof info;
        detail::call(agepred_estimator_describe, handle_.get(), &info);
        return info;
    }

    // probabilities, where given, becomes a row of age_count floats for each face.
    [[nodiscard]] std::vector<agepred_face> predict(const agepred_image &image,
                                                    std::vector<float> *probabilities = nullptr) const {
        const auto ages = probabilities != nullptr ? static_cast<std::size_t>(info().age_count) : 0;
        auto faces = detail::collect<agepred_face>([&](auto &results, std::size_t &count, agepred_error &error) {
            if (probabilities != nullptr) {
                probabilities->resize(results.size() * ages);
            }
            return agepred_predict(handle_.get(), &image, results.data(), results.size(),
                                   probabilities != nullptr ? probabilities->data() : nullptr, &count, &error);
        });
        if (probabilities != nullptr) {
            probabilities->resize(faces.size() * ages);
        }
        return faces;
    }

    // crop: crop_side x crop_side x 3 bytes; probabilities: age_count floats, or null.
    [[nodiscard]] agepred_age predict_crop(const std::uint8_t *crop, float *probabilities = nullptr) const {
        agepred_age age{};
        age.struct_size = sizeof age;
        detail::call(agepred_predict_crop, handle_.get(), crop, &age, probabilities);
        return age;
    }

    // The same, and into map, which becomes info().map_rows x map_columns floats, where in the crop the age comes from.
    [[nodiscard]] agepred_age explain_crop(const std::uint8_t *crop, std::vector<float> &map,
                                           float *probabilities = nullptr) const {
        const agepred_estimator_info known = info();
        map.resize(static_cast<std::size_t>(known.map_rows) * static_cast<std::size_t>(known.map_columns));
        agepred_age age{};
        age.struct_size = sizeof age;
        detail::call(agepred_explain_crop, handle_.get(), crop, &age, probabilities, map.data());
        return age;
    }

  private:
    struct Free {
        void operator()(agepred_estimator *handle) const { agepred_estimator_free(handle); }
    };
    std::unique_ptr<agepred_estimator, Free> handle_;
};

} // namespace agepred
