// agepred_edge._core: translation between Python and the C++ face, nothing else. What it takes has been shaped by
// agepred_edge/pictures.py; it still checks every size that the library relies on.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/typing.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "agepred/agepred.hpp"
#include "picture.hpp"
#include "stage_timer.hpp"

namespace py = pybind11;
using namespace pybind11::literals;

namespace {

using agepred_edge::borrow;
using agepred_edge::Bytes;
using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;
using Record = py::typing::Dict<py::str, py::object>; // becomes a dataclass of agepred_edge/results.py
using Records = py::typing::List<Record>;

std::array<float, 10> ten(const Floats &points) {
    if (points.ndim() != 2 || points.shape(0) != 5 || points.shape(1) != 2) {
        throw py::value_error("five points of x and y are needed, as an array of 5 x 2");
    }
    std::array<float, 10> result{};
    std::copy_n(points.data(), result.size(), result.begin());
    return result;
}

py::array_t<float> points_array(const float *points) { return py::array_t<float>({5, 2}, points); }

template <class Struct> py::dict detection(const Struct &face) {
    return py::dict("box"_a = py::make_tuple(face.x, face.y, face.width, face.height), "score"_a = face.score,
                    "landmarks"_a = points_array(face.points));
}

template <class Struct> void add_estimate(py::dict &target, const Struct &estimate, py::array_t<float> probabilities) {
    target["age"] = estimate.age;
    target["stddev"] = estimate.stddev;
    target["interval"] = py::make_tuple(estimate.low, estimate.high);
    target["group"] = estimate.group;
    target["probabilities"] = std::move(probabilities);
}

// What every model's session is opened with.
struct Sessions {
    std::string runtime;
    int threads;
    bool allow_spinning;
    bool arena;
};

// What is left of the options; the texts are borrowed.
agepred_options options(const std::string &age_model, const std::string &face_model, const std::string &points_model,
                        const Sessions &sessions, float min_score, int max_side, float smallest_face) {
    agepred_options result = agepred::options(age_model.c_str(), face_model.c_str(), points_model.c_str());
    result.onnxruntime_path = sessions.runtime.c_str();
    result.threads = sessions.threads;
    result.allow_spinning = sessions.allow_spinning ? 1 : 0;
    result.disable_arena = sessions.arena ? 0 : 1;
    result.min_score = min_score;
    result.max_side = max_side;
    result.smallest_face = smallest_face;
    return result;
}

Records detect(const agepred::Detector &detector, const Bytes &picture, int format) {
    const agepred_image image = borrow(picture, format);
    std::vector<agepred_detection> found;
    {
        const py::gil_scoped_release release;
        found = detector.detect(image);
    }
    Records result;
    for (const agepred_detection &face : found) {
        result.append(detection(face));
    }
    return result;
}

Records predict(const agepred::Estimator &estimator, const Bytes &picture, int format) {
    const agepred_image image = borrow(picture, format);
    std::vector<float> probabilities;
    std::vector<agepred_face> faces;
    {
        const py::gil_scoped_release release;
        faces = estimator.predict(image, &probabilities);
    }
    Records result;
    const auto ages = faces.empty() ? 0 : static_cast<py::ssize_t>(probabilities.size() / faces.size());
    for (std::size_t i = 0; i < faces.size(); ++i) {
        py::dict face = detection(faces[i]);
        add_estimate(face, faces[i],
                     py::array_t<float>(ages, probabilities.data() + static_cast<py::ssize_t>(i) * ages));
        result.append(std::move(face));
    }
    return result;
}

void require_crop(const Bytes &crop, py::ssize_t side) {
    if (crop.ndim() != 3 || crop.shape(0) != side || crop.shape(1) != side || crop.shape(2) != 3 ||
        (crop.flags() & py::array::c_style) == 0) {
        throw py::value_error("a crop must be a contiguous uint8 array of " + std::to_string(side) + " x " +
                              std::to_string(side) + " x 3");
    }
}

Record predict_crop(const agepred::Estimator &estimator, const Bytes &crop) {
    const agepred_estimator_info info = estimator.info();
    require_crop(crop, info.crop_side);
    py::array_t<float> probabilities(info.age_count);
    agepred_age age{};
    {
        float *row = probabilities.mutable_data();
        const std::uint8_t *pixels = crop.data();
        const py::gil_scoped_release release;
        age = estimator.predict_crop(pixels, row);
    }
    Record result;
    add_estimate(result, age, std::move(probabilities));
    return result;
}

Record explain_crop(const agepred::Estimator &estimator, const Bytes &crop) {
    const agepred_estimator_info info = estimator.info();
    require_crop(crop, info.crop_side);
    py::array_t<float> probabilities(info.age_count);
    std::vector<float> map;
    agepred_age age{};
    {
        float *row = probabilities.mutable_data();
        const std::uint8_t *pixels = crop.data();
        const py::gil_scoped_release release;
        age = estimator.explain_crop(pixels, map, row);
    }
    Record result;
    add_estimate(result, age, std::move(probabilities));
    result["map"] = py::array_t<float>({info.map_rows, info.map_columns}, map.data());
    return result;
}

Record describe(const agepred::Estimator &estimator) {
    const agepred_estimator_info info = estimator.info();
    py::list groups;
    for (int g = 0; g < info.group_count; ++g) {
        groups.append(py::make_tuple(info.groups[g][0], info.groups[g][1]));
    }
    return py::dict("version"_a = info.model_version, "crop_detector"_a = info.crop_detector,
                    "crop_side"_a = info.crop_side, "crop_points"_a = points_array(info.crop_points),
                    "first_age"_a = info.first_age, "age_count"_a = info.age_count,
                    "int8_exact"_a = info.int8_exact != 0, "interval_level"_a = info.interval_level,
                    "groups"_a = py::tuple(groups), "map_shape"_a = py::make_tuple(info.map_rows, info.map_columns),
                    "map_first"_a = info.map_first, "map_step"_a = info.map_step);
}

Bytes align(const Bytes &picture, int format, const Floats &landmarks, const Floats &targets, int side) {
    const agepred_image image = borrow(picture, format);
    const auto points = ten(landmarks);
    const auto goals = ten(targets);
    if (side < 1 || side > 1024) { // before memory is taken for it
        throw py::value_error("the side of a crop must be from 1 to 1024 pixels");
    }
    Bytes crop({side, side, 3});
    std::uint8_t *pixels = crop.mutable_data();
    const py::gil_scoped_release release;
    agepred::align(image, points, goals.data(), side, pixels);
    return crop;
}

Record describe_runtime(const std::string &path) {
    agepred_runtime_info info{};
    info.struct_size = sizeof info;
    agepred::detail::call(agepred_runtime_describe, path.c_str(), &info);
    return py::dict("onnxruntime_version"_a = info.onnxruntime_version, "onnxruntime_path"_a = info.onnxruntime_path,
                    "cpu_features"_a = info.cpu_features);
}

} // namespace

PYBIND11_MODULE(_core, m) {
    m.doc() = "The C++ core of agepred; agepred_edge is its public face.";
    m.attr("version") = agepred_version();

    // Raised with (status name, message); agepred_edge/errors.py turns it into what users catch.
    static py::exception<agepred::Failure> failure(m, "Failure");
    py::register_exception_translator([](std::exception_ptr thrown) {
        try {
            if (thrown) {
                std::rethrow_exception(thrown);
            }
        } catch (const agepred::Failure &error) {
            const py::tuple arguments = py::make_tuple(agepred_status_name(error.status()), error.what());
            PyErr_SetObject(failure.ptr(), arguments.ptr());
        }
    });

    py::class_<agepred::Detector>(m, "Detector")
        .def(py::init([](const std::string &face_model, const std::string &points_model, const std::string &runtime,
                         int threads, bool allow_spinning, bool arena, float min_score, int max_side,
                         float smallest_face) {
                 const Sessions sessions{runtime, threads, allow_spinning, arena};
                 return agepred::Detector(
                     options("", face_model, points_model, sessions, min_score, max_side, smallest_face));
             }),
             "face_model"_a, "points_model"_a, "runtime"_a, py::kw_only(), "threads"_a, "allow_spinning"_a, "arena"_a,
             "min_score"_a, "max_side"_a, "smallest_face"_a)
        .def("detect", &detect, "picture"_a, "format"_a);

    py::class_<agepred::Estimator>(m, "Estimator")
        .def(py::init([](const std::string &age_model, const std::string &face_model, const std::string &points_model,
                         const std::string &runtime, int threads, bool allow_spinning, bool arena, float min_score,
                         int max_side, float smallest_face, float interval_level) {
                 const Sessions sessions{runtime, threads, allow_spinning, arena};
                 agepred_options chosen =
                     options(age_model, face_model, points_model, sessions, min_score, max_side, smallest_face);
                 chosen.interval_level = interval_level;
                 return agepred::Estimator(chosen);
             }),
             "age_model"_a, "face_model"_a, "points_model"_a, "runtime"_a, py::kw_only(), "threads"_a,
             "allow_spinning"_a, "arena"_a, "min_score"_a, "max_side"_a, "smallest_face"_a, "interval_level"_a)
        .def("predict", &predict, "picture"_a, "format"_a)
        .def("predict_crop", &predict_crop, "crop"_a)
        .def("explain_crop", &explain_crop, "crop"_a)
        .def("describe", &describe);

    m.def("align", &align, "picture"_a, "format"_a, "landmarks"_a, "targets"_a, "side"_a);
    agepred_edge::bind_stage_timer(m);
    m.def("describe_runtime", &describe_runtime, "runtime"_a);
}
