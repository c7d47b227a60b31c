// A test program is a main() of checks: each failed one prints where and what, and the program ends with 1.
#pragma once

#include <cmath>
#include <iostream>

namespace check {

inline int failures = 0;

inline void that(bool sound, const char *expression, const char *file, int line) {
    if (!sound) {
        ++failures;
        std::cerr << file << ':' << line << ": failed: " << expression << '\n';
    }
}

// Whether `work` throws an Exception for which `fits` holds.
template <class Exception, class Work, class Fits> bool throws(Work work, Fits fits) {
    try {
        work();
    } catch (const Exception &exception) {
        return fits(exception);
    }
    return false;
}

inline bool near(double one, double other, double tolerance) { return std::abs(one - other) <= tolerance; }

inline int result() {
    std::cout << (failures == 0 ? "all checks passed" : "some checks failed") << '\n';
    return failures == 0 ? 0 : 1;
}

} // namespace check

#define CHECK(expression) check::that((expression), #expression, __FILE__, __LINE__)
