// For agepred-bench alone: what the stages of a detection take. It goes past the C ABI, which has no place for it.
#pragma once

#include <pybind11/pybind11.h>

namespace agepred_edge {

// Adds the class _StageTimer to the module.
void bind_stage_timer(pybind11::module_ &module);

} // namespace agepred_edge
