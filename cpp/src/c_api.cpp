// The C ABI over the C++ core: checks arguments, copies results, and is the one place that catches everything.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <new>
#include <optional>
#include <string>

#include "agepred/agepred.h"
#include "agepred_version.h"
#include "cpu.hpp"
#include "estimator.hpp"
#include "status.hpp"
#include "workspaces.hpp"

using namespace agepred::core;

struct agepred_detector {
    Detector detector;
    mutable Workspaces<Detector::Workspace> workspaces;
};

struct agepred_estimator {
    Estimator estimator;
    mutable Workspaces<Estimator::Workspace> workspaces;
};

namespace {

// Copies a text into a fixed array, cut where it is longer. N counts the NUL.
template <std::size_t N> void copy_text(char (&target)[N], const std::string &text) {
    std::size_t length = std::min(text.size(), N - 1);
    while (length > 0 && length < text.size() && (static_cast<unsigned char>(text[length]) & 0xC0U) == 0x80U) {
        --length; // not within a character of UTF-8
    }
    std::memcpy(target, text.data(), length);
    target[length] = '\0';
}

// No struct will ever be as large: a size beyond it is memory that nobody has set.
constexpr std::size_t max_struct_size = 4096;

agepred_status fail(agepred_error *error, agepred_status status, const char *message) noexcept {
    if (error != nullptr && error->struct_size >= sizeof(agepred_error) && error->struct_size <= max_struct_size) {
        std::strncpy(error->message, message, sizeof error->message - 1);
        error->message[sizeof error->message - 1] = '\0';
    }
    return status;
}

template <class Work> agepred_status guarded(agepred_error *error, Work &&work) noexcept {
    try {
        work();
        return AGEPRED_OK;
    } catch (const Error &failure) {
        return fail(error, failure.status(), failure.what());
    } catch (const std::bad_alloc &) {
        return fail(error, AGEPRED_OUT_OF_MEMORY, "out of memory");
    } catch (const std::exception &failure) {
        return fail(error, AGEPRED_INTERNAL, failure.what());
    } catch (...) {
        return fail(error, AGEPRED_INTERNAL, "a failure of unknown kind");
    }
}

// The text is a literal, so that calls that go well build none.
void require(bool sound, const char *why) {
    if (!sound) {
        throw Error(AGEPRED_INVALID_ARGUMENT, why);
    }
}

// Structs grow at their end, and no caller's is smaller than that of the release which brought it. All are of 0.1.0;
// one that grows needs a specialization with the size that it had. A member that would fit into the gap at the end of
// an older struct must not lie there: callers of that release say that they know it, and have never set it.
template <class Struct> inline constexpr std::size_t first_size = sizeof(Struct);
template <> inline constexpr std::size_t first_size<agepred_options> = offsetof(agepred_options, points_model);
template <> inline constexpr std::size_t first_size<agepred_estimator_info> =
    offsetof(agepred_estimator_info, map_rows);

template <class Struct> void require_struct(const Struct *given) {
    require(given != nullptr, "a struct is NULL that may not be");
    require(given->struct_size >= first_size<Struct> && given->struct_size <= max_struct_size,
            "struct_size of a struct is not set");
}

// What a caller of any release gives, as this release knows it: members that its struct lacks are zero.
template <class Struct> Struct known(const Struct *given) {
    require_struct(given);
    Struct result{};
    std::memcpy(&result, given, std::min(given->struct_size, sizeof(Struct)));
    return result;
}

// A caller's picture, checked.
ImageView view_of(const agepred_image *image) {
    const agepred_image described = known(image);
    return view(&described);
}

int within(std::int32_t value, int fallback, int low, int high, const char *name) {
    const int result = value == 0 ? fallback : value;
    if (result < low || result > high) {
        throw Error(AGEPRED_INVALID_ARGUMENT, std::string(name) + " must be from " + std::to_string(low) + " to " +
                                                  std::to_string(high) + ", not " + std::to_string(value));
    }
    return result;
}

onnx::ModelSettings model_settings(const agepred_options &options) {
    onnx::ModelSettings settings;
    settings.threads = within(options.threads, settings.threads, 1, 64, "threads");
    settings.allow_spinning = options.allow_spinning != 0;
    settings.arena = options.disable_arena == 0;
    return settings;
}

std::string path_or_empty(const char *path) { return path != nullptr ? path : ""; }

DetectorSettings detector_settings(const agepred_options &options) {
    DetectorSettings settings;
    settings.face_model = path_or_empty(options.face_model);
    settings.points_model = path_or_empty(options.points_model);
    if (options.min_score != 0) {
        require(options.min_score > 0 && options.min_score <= 1, "min_score must be above 0 and at most 1");
        settings.min_score = options.min_score;
    }
    settings.max_side = within(options.max_side, settings.max_side, 32, 4096, "max_side");
    require(options.smallest_face >= 0 && options.smallest_face <= ImageView::max_side,
            "smallest_face must be from 0 to 65535 pixels");
    settings.smallest_face = options.smallest_face;
    return settings;
}

float interval_level(const agepred_options &options) {
    const float level = options.interval_level;
    require(level == 0 || (level >= min_interval_level && level <= max_interval_level),
            "interval_level must be from 0.01 to 0.999");
    return level;
}

// Says how many results there are and whether they fit: true if so.
bool announce(std::size_t found, std::size_t capacity, std::size_t *count) {
    *count = found;
    return found <= capacity;
}

// Writes result i of an array whose elements have the size that the caller's release gives them.
template <class Struct> void store(Struct *array, std::size_t i, Struct result) {
    const std::size_t size = array->struct_size;
    result.struct_size = size;
    std::memcpy(reinterpret_cast<unsigned char *>(array) + i * size, &result, std::min(size, sizeof result));
}

template <class Struct> void copy_face(Struct &target, const Face &face) {
    target.x = face.x;
    target.y = face.y;
    target.width = face.width;
    target.height = face.height;
    target.score = face.score;
    std::copy(face.points.begin(), face.points.end(), target.points);
}

template <class Struct> void copy_estimate(Struct &target, const Estimate &estimate) {
    target.age = estimate.age;
    target.stddev = estimate.stddev;
    target.low = estimate.low;
    target.high = estimate.high;
    target.group = estimate.group;
}

[[noreturn]] void too_many(std::size_t found) {
    throw Error(AGEPRED_BUFFER_TOO_SMALL, "there are " + std::to_string(found) + " faces, more than there is room for");
}

Points ten(const float *points) {
    Points result;
    std::copy_n(points, result.size(), result.begin());
    return result;
}

} // namespace

const char *agepred_version(void) { return AGEPRED_VERSION; }

const char *agepred_status_name(int32_t status) { return status_name(status); }

agepred_status agepred_runtime_describe(const char *onnxruntime_path, agepred_runtime_info *info,
                                        agepred_error *error) {
    return guarded(error, [&] {
        agepred_runtime_info result = known(info);
        copy_text(result.cpu_features, cpu().features);
        store(info, 0, result); // also where no runtime is found
        const auto runtime = onnx::Runtime::open(onnxruntime_path);
        copy_text(result.onnxruntime_version, runtime->version());
        copy_text(result.onnxruntime_path, runtime->path());
        store(info, 0, result);
    });
}

agepred_status agepred_detector_create(const agepred_options *options, agepred_detector **detector,
                                       agepred_error *error) {
    return guarded(error, [&] {
        const agepred_options chosen = known(options);
        require(detector != nullptr, "there is no place for the detector (NULL)");
        require(!path_or_empty(chosen.face_model).empty(), "a detector needs a face model");
        const onnx::ModelSettings models = model_settings(chosen);
        const DetectorSettings settings = detector_settings(chosen);
        *detector = new agepred_detector{{onnx::Runtime::open(chosen.onnxruntime_path), settings, models}, {}};
    });
}

// NOLINTNEXTLINE(misc-const-correctness): frees what it points to
void agepred_detector_free(agepred_detector *detector) { delete detector; }

agepred_status agepred_detect(const agepred_detector *detector, const agepred_image *image,
                              agepred_detection *detections, size_t capacity, size_t *count, agepred_error *error) {
    return guarded(error, [&] {
        require(detector != nullptr && count != nullptr, "the detector or the count is NULL");
        if (capacity > 0) {
            require_struct(detections);
        }
        const ImageView picture = view_of(image);
        Workspaces<Detector::Workspace>::Lease workspace(detector->workspaces);
        detector->detector.detect(picture, *workspace);
        if (!announce(workspace->faces.size(), capacity, count)) {
            too_many(*count);
        }
        for (std::size_t i = 0; i < *count; ++i) {
            agepred_detection result{};
            copy_face(result, workspace->faces[i]);
            store(detections, i, result);
        }
    });
}

agepred_status agepred_align(const agepred_image *image, const float *points, const float *targets, int32_t side,
                             uint8_t *crop, agepred_error *error) {
    return guarded(error, [&] {
        require(points != nullptr && crop != nullptr, "the points or the crop are NULL");
        align(view_of(image), ten(points), targets != nullptr ? ten(targets) : default_targets, side, crop);
    });
}

agepred_status agepred_estimator_create(const agepred_options *options, agepred_estimator **estimator,
                                        agepred_error *error) {
    return guarded(error, [&] {
        const agepred_options chosen = known(options);
        require(estimator != nullptr, "there is no place for the estimator (NULL)");
        require(!path_or_empty(chosen.age_model).empty(), "an estimator needs an age model");
        const onnx::ModelSettings models = model_settings(chosen);
        const DetectorSettings settings = detector_settings(chosen);
        *estimator = new agepred_estimator{
            {onnx::Runtime::open(chosen.onnxruntime_path), chosen.age_model, settings, models, interval_level(chosen)},
            {}};
    });
}

// NOLINTNEXTLINE(misc-const-correctness): frees what it points to
void agepred_estimator_free(agepred_estimator *estimator) { delete estimator; }

agepred_status agepred_estimator_describe(const agepred_estimator *estimator, agepred_estimator_info *info,
                                          agepred_error *error) {
    return guarded(error, [&] {
        require(estimator != nullptr, "the estimator is NULL");
        agepred_estimator_info result = known(info);
        const AgeModel &model = estimator->estimator.age_model();
        const AgeContract &contract = model.contract();
        copy_text(result.model_version, contract.version);
        copy_text(result.crop_detector, contract.crop_detector);
        result.crop_side = model.crop_side();
        std::copy(contract.crop_points.begin(), contract.crop_points.end(), result.crop_points);
        result.first_age = contract.first_age;
        result.age_count = static_cast<std::int32_t>(model.age_count());
        result.int8_exact = contract.int8_exact ? 1 : 0;
        result.interval_level = contract.interval_level;
        result.group_count = static_cast<std::int32_t>(contract.groups.size());
        for (std::size_t g = 0; g < contract.groups.size(); ++g) {
            result.groups[g][0] = contract.groups[g].first;
            result.groups[g][1] = contract.groups[g].last;
        }
        if (const auto &features = model.features()) {
            result.map_rows = static_cast<std::int32_t>(features->rows);
            result.map_columns = static_cast<std::int32_t>(features->columns);
            result.map_first = features->grid.first;
            result.map_step = features->grid.step;
        }
        store(info, 0, result);
    });
}

agepred_status agepred_predict(const agepred_estimator *estimator, const agepred_image *image, agepred_face *faces,
                               size_t capacity, float *probabilities, size_t *count, agepred_error *error) {
    return guarded(error, [&] {
        require(estimator != nullptr && count != nullptr, "the estimator or the count is NULL");
        if (capacity > 0) {
            require_struct(faces);
        }
        const ImageView picture = view_of(image);
        Workspaces<Estimator::Workspace>::Lease workspace(estimator->workspaces);
        estimator->estimator.detect(picture, *workspace);
        // Before the ages are estimated: a caller who must come again with more room has not paid for them.
        if (!announce(workspace->detector.faces.size(), capacity, count)) {
            too_many(*count);
        }
        estimator->estimator.estimate(picture, *workspace);
        for (std::size_t i = 0; i < *count; ++i) {
            agepred_face result{};
            copy_face(result, workspace->detector.faces[i]);
            copy_estimate(result, workspace->estimates[i]);
            store(faces, i, result);
        }
        if (probabilities != nullptr) {
            std::copy(workspace->probabilities.begin(), workspace->probabilities.end(), probabilities);
        }
    });
}

agepred_status agepred_predict_crop(const agepred_estimator *estimator, const uint8_t *crop, agepred_age *estimate,
                                    float *probabilities, agepred_error *error) {
    return guarded(error, [&] {
        require(estimator != nullptr && crop != nullptr, "the estimator or the crop is NULL");
        require_struct(estimate);
        const AgeModel &model = estimator->estimator.age_model();
        Workspaces<Estimator::Workspace>::Lease workspace(estimator->workspaces);
        workspace->probabilities.resize(model.age_count());
        agepred_age result{};
        copy_estimate(result, model.estimate(crop, workspace->planar, workspace->probabilities));
        store(estimate, 0, result);
        if (probabilities != nullptr) {
            std::copy(workspace->probabilities.begin(), workspace->probabilities.end(), probabilities);
        }
    });
}

agepred_status agepred_explain_crop(const agepred_estimator *estimator, const uint8_t *crop, agepred_age *estimate,
                                    float *probabilities, float *map, agepred_error *error) {
    return guarded(error, [&] {
        require(estimator != nullptr && crop != nullptr, "the estimator or the crop is NULL");
        require_struct(estimate);
        const AgeModel &model = estimator->estimator.age_model();
        // Without a map to fill, a model that cannot explain shall say so itself.
        require(map != nullptr || !model.features(), "the map is NULL");
        Workspaces<Estimator::Workspace>::Lease workspace(estimator->workspaces);
        workspace->probabilities.resize(model.age_count());
        workspace->map.resize(model.features() ? model.features()->rows * model.features()->columns : 0);
        agepred_age result{};
        copy_estimate(result, model.explain(crop, workspace->planar, workspace->probabilities, workspace->slopes,
                                            workspace->map));
        store(estimate, 0, result);
        std::copy(workspace->map.begin(), workspace->map.end(), map);
        if (probabilities != nullptr) {
            std::copy(workspace->probabilities.begin(), workspace->probabilities.end(), probabilities);
        }
    });
}
