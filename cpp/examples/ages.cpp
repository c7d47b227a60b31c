// ages AGE_MODEL FACE_MODEL PICTURE.ppm: prints a line for each face, in C++.
#include <agepred/agepred.hpp>

#include <cstdio>
#include <memory>

#include "ppm.h"

int main(int argc, char **argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: ages AGE_MODEL FACE_MODEL PICTURE.ppm\n");
        return 2;
    }
    try {
        int width = 0;
        int height = 0;
        const std::unique_ptr<std::uint8_t, decltype(&std::free)> pixels(read_ppm(argv[3], &width, &height),
                                                                         &std::free);
        if (!pixels) {
            throw std::runtime_error(std::string(argv[3]) + " is not a binary PPM of 8 bits");
        }
        const agepred::Estimator estimator(argv[1], argv[2]);
        for (const agepred_face &face : estimator.predict(agepred::image(pixels.get(), width, height, AGEPRED_RGB))) {
            std::printf("%.2f years (%.2f to %.2f) at %.0f, %.0f\n", face.age, face.low, face.high, face.x, face.y);
        }
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
