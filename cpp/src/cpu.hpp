// What the processor can do, as far as it decides int8 speed and safety.
#pragma once

#include <string>

namespace agepred::core {

struct Cpu {
    bool aarch64 = false;
    bool dot_product = false; // int8 dot product: VNNI on x86, asimddp on Arm
    std::string features;     // names separated by blanks, such as "avx2 avx512f avx512_vnni"
};

// Asks the processor once; the answer does not change while the process lives.
const Cpu &cpu();

} // namespace agepred::core
