#include "cpu.hpp"

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace agepred::core {
namespace {

void add(Cpu &cpu, bool present, const char *name) {
    if (present) {
        cpu.features += cpu.features.empty() ? name : std::string(" ") + name;
    }
}

Cpu ask() {
    Cpu cpu;
#if defined(__x86_64__)
    __builtin_cpu_init();
    add(cpu, __builtin_cpu_supports("avx2"), "avx2");
    add(cpu, __builtin_cpu_supports("fma"), "fma");
    add(cpu, __builtin_cpu_supports("avx512f"), "avx512f");
    add(cpu, __builtin_cpu_supports("avx512vnni"), "avx512_vnni");
    cpu.dot_product = __builtin_cpu_supports("avx512vnni");
#elif defined(__aarch64__)
    cpu.aarch64 = true;
    add(cpu, true, "neon"); // part of every aarch64
#if defined(__linux__)
    // Bits of the kernel's stable interface (arch/arm64/include/uapi/asm/hwcap.h).
    constexpr unsigned long asimddp = 1UL << 20;
    constexpr unsigned long i8mm = 1UL << 13;
    cpu.dot_product = (getauxval(AT_HWCAP) & asimddp) != 0;
    add(cpu, cpu.dot_product, "dotprod");
    add(cpu, (getauxval(AT_HWCAP2) & i8mm) != 0, "i8mm");
#endif
#endif
    return cpu;
}

} // namespace

const Cpu &cpu() {
    static const Cpu answer = ask();
    return answer;
}

} // namespace agepred::core
