// Pictures that describe no memory are refused before anything reads them.
#include "image.hpp"

#include <climits>

#include "agepred/agepred.hpp"
#include "check.hpp"
#include "status.hpp"

using namespace agepred::core;

namespace {

bool refused(const agepred_image &image) {
    return check::throws<Error>([&] { view(&image); },
                                [](const Error &error) { return error.status() == AGEPRED_INVALID_IMAGE; });
}

} // namespace

int main() {
    const std::uint8_t pixels[64] = {};
    const agepred_image good = agepred::image(pixels, 4, 4, AGEPRED_RGB);
    CHECK(view(&good).pixel_bytes == 3);
    CHECK(view(&good).stride == 12);

    struct Layout {
        agepred_pixel_format format;
        int bytes, red, green, blue;
    };
    for (const Layout &layout :
         {Layout{AGEPRED_RGB, 3, 0, 1, 2}, Layout{AGEPRED_BGR, 3, 2, 1, 0}, Layout{AGEPRED_RGBA, 4, 0, 1, 2},
          Layout{AGEPRED_BGRA, 4, 2, 1, 0}, Layout{AGEPRED_GRAY, 1, 0, 0, 0}}) {
        const agepred_image image = agepred::image(pixels, 2, 2, layout.format);
        const ImageView seen = view(&image);
        CHECK(seen.pixel_bytes == layout.bytes && seen.red == layout.red && seen.green == layout.green &&
              seen.blue == layout.blue);
    }

    CHECK(check::throws<Error>([] { view(nullptr); }, [](const Error &) { return true; }));
    agepred_image bad = good;
    bad.pixels = nullptr;
    CHECK(refused(bad));
    bad = good;
    bad.struct_size = 0;
    CHECK(refused(bad));
    for (const int side : {0, -1, 65536, INT_MAX, INT_MIN}) {
        bad = good;
        bad.width = side;
        CHECK(refused(bad));
        bad = good;
        bad.height = side;
        CHECK(refused(bad));
    }
    for (const std::ptrdiff_t stride :
         {std::ptrdiff_t{0}, std::ptrdiff_t{11}, std::ptrdiff_t{-11}, PTRDIFF_MAX, PTRDIFF_MIN, PTRDIFF_MAX / 2}) {
        bad = good;
        bad.stride = stride;
        CHECK(refused(bad));
    }
    for (const int format : {0, 6, -1, 1000}) {
        bad = good;
        bad.format = format;
        CHECK(refused(bad));
    }
    agepred_image bottom_up = good;
    bottom_up.pixels = pixels + 36;
    bottom_up.stride = -12;
    CHECK(view(&bottom_up).row(3) == pixels);
    return check::result();
}
