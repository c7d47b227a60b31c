#include "stage_timer.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <map>
#include <string>

#include "agepred/agepred.hpp"
#include "detector.hpp"
#include "image.hpp"
#include "picture.hpp"
#include "status.hpp"

namespace py = pybind11;
using namespace pybind11::literals;

namespace agepred_edge {
namespace {

namespace core = agepred::core;

// The core's failures as those of its C++ face, which the module translates.
template <class Work> auto guarded(Work work) {
    try {
        return work();
    } catch (const core::Error &error) {
        throw agepred::Failure(error.status(), error.what());
    }
}

// A detector and its memory. One thread at a time.
class StageTimer {
  public:
    StageTimer(const std::string &face_model, const std::string &points_model, const std::string &runtime, int threads,
               int max_side)
        : detector_(guarded([&] {
              core::DetectorSettings settings;
              settings.face_model = face_model;
              settings.points_model = points_model;
              settings.max_side = max_side;
              core::onnx::ModelSettings sessions;
              sessions.threads = threads;
              return core::Detector(core::onnx::Runtime::open(runtime.c_str()), settings, sessions);
          })) {}

    // Nanoseconds of the stages of one detection, and how many faces and runs of the face model they were for.
    std::map<std::string, std::int64_t> detect(const Bytes &picture, int format) {
        const agepred_image image = borrow(picture, format);
        guarded([&] { detector_.detect(core::view(&image), workspace_); });
        const core::StageTimes &times = workspace_.times;
        return {{"fill", times.fill},     {"network", times.network},
                {"decode", times.decode}, {"refine", times.refine},
                {"looks", times.looks},   {"faces", static_cast<std::int64_t>(workspace_.faces.size())}};
    }

  private:
    core::Detector detector_;
    core::Detector::Workspace workspace_;
};

} // namespace

void bind_stage_timer(py::module_ &module) {
    py::class_<StageTimer>(module, "_StageTimer",
                           "For agepred-bench alone: a detector that tells what its stages took.")
        .def(py::init<const std::string &, const std::string &, const std::string &, int, int>(), "face_model"_a,
             "points_model"_a, "runtime"_a, py::kw_only(), "threads"_a, "max_side"_a)
        .def("detect", &StageTimer::detect, "picture"_a, "format"_a);
}

} // namespace agepred_edge
