#include "detector.hpp"

#include <algorithm>
#include <cmath>

namespace agepred::core {
namespace {

// How many times smaller the next look is, and up to how many times `largest` a face is noticed beside a small one.
constexpr int step_back = 4;
constexpr double wide_border = 0.3; // share of a side; faces cut off by the picture's border are found with it

int round_up(int size) { return (size + FaceModel::alignment - 1) / FaceModel::alignment * FaceModel::alignment; }

int shrunk(int side, double scale) { return std::max(1, static_cast<int>(std::lround(side * scale))); }

// Where a picture lies in the network's input. What is left of the input, right of it and below, says nothing.
struct Place {
    int left, top;     // width of the border
    int width, height; // of the shrunk picture
    int columns, rows; // of the input

    Place(const ImageView &image, double scale, double border) {
        width = shrunk(image.width, scale);
        height = shrunk(image.height, scale);
        left = static_cast<int>(std::lround(width * border));
        top = static_cast<int>(std::lround(height * border));
        columns = round_up(width + 2 * left);
        rows = round_up(height + 2 * top);
    }
    [[nodiscard]] std::size_t cells() const {
        return static_cast<std::size_t>(columns) * static_cast<std::size_t>(rows);
    }
};

// Repeats the outermost pixels of the picture in a plane into its border, and fills the rest of the plane.
template <class Pixel> void surround(Pixel *plane, const Place &place, Pixel rest) {
    const int filled = place.width + 2 * place.left;
    const int last = place.top + place.height - 1; // row of the picture
    const auto row_at = [&](int y) { return plane + std::ptrdiff_t{y} * place.columns; };
    for (int y = place.top; y <= last; ++y) {
        Pixel *row = row_at(y);
        std::fill_n(row, place.left, row[place.left]);
        std::fill_n(row + place.left + place.width, place.left, row[place.left + place.width - 1]);
        std::fill_n(row + filled, place.columns - filled, rest);
    }
    for (int y = 0; y < place.top; ++y) {
        std::copy_n(row_at(place.top), place.columns, row_at(y));
        std::copy_n(row_at(last), place.columns, row_at(last + 1 + y));
    }
    const int end = last + 1 + place.top;
    std::fill_n(row_at(end), std::ptrdiff_t{place.rows - end} * place.columns, rest);
}

// Lays the picture into three planes. rest: the gray that means nothing to the network.
template <class Pixel> void lay(const ImageView &image, const Place &place, const std::array<int, 3> &channels,
                                Pixel rest, std::vector<Pixel> &planes, Detector::Workspace &workspace) {
    planes.resize(3 * place.cells());
    workspace.columns.resize(static_cast<std::size_t>(place.width));
    workspace.row.resize(static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.pixel_bytes));
    Pixel *first = planes.data();
    Pixel *second = first + place.cells();
    Pixel *third = second + place.cells();
    const std::ptrdiff_t origin = std::ptrdiff_t{place.top} * place.columns + place.left;
    kernels::shrink_scalar<Pixel>({image.pixels,
                                   image.width,
                                   image.height,
                                   image.stride,
                                   image.pixel_bytes,
                                   {channels[0], channels[1], channels[2]}},
                                  {{first + origin, second + origin, third + origin},
                                   place.width,
                                   place.height,
                                   place.columns,
                                   workspace.columns.data(),
                                   workspace.row.data()});
    for (Pixel *plane : {first, second, third}) {
        surround(plane, place, rest);
    }
}

// From pixels of the network's input to those of the picture.
void map_to_picture(const ImageView &image, const Place &place, Face &face) {
    const auto scale_x = static_cast<float>(static_cast<double>(image.width) / place.width);
    const auto scale_y = static_cast<float>(static_cast<double>(image.height) / place.height);
    const auto left = static_cast<float>(place.left);
    const auto top = static_cast<float>(place.top);
    face.x = (face.x - left) * scale_x;
    face.y = (face.y - top) * scale_y;
    face.width *= scale_x;
    face.height *= scale_y;
    for (std::size_t i = 0; i < face.points.size(); i += 2) {
        face.points[i] = (face.points[i] - left) * scale_x;
        face.points[i + 1] = (face.points[i + 1] - top) * scale_y;
    }
}

bool is_at_least(const Face &face, float side) { return std::max(face.width, face.height) >= side; }

} // namespace

Detector::Detector(const std::shared_ptr<const onnx::Runtime> &runtime, const DetectorSettings &settings,
                   const onnx::ModelSettings &model_settings)
    : face_model_(runtime, settings.face_model, model_settings), settings_(settings) {
    if (!settings.points_model.empty()) {
        points_model_.emplace(runtime, settings.points_model, model_settings);
    }
    if (settings_.min_score == 0) {
        settings_.min_score = face_model_.contract().min_score;
    }
}

void Detector::detect(const ImageView &image, Workspace &workspace) const {
    workspace.times = {};
    const int side = std::max(image.width, image.height);
    const float largest = face_model_.contract().largest;
    double scale = scale_for(image);
    look(image, {scale, 0.0}, workspace);
    const double second = static_cast<double>(std::max(1, settings_.max_side / step_back)) / side;
    double further = overlooks_large(side, scale) ? scale / step_back : std::min(scale, second);
    while (overlooks_large(side, scale) || misses_large(workspace.faces, scale)) {
        look_again(image, {further, wide_border}, scale, workspace);
        scale = further;
        further /= step_back;
        if (static_cast<float>(shrunk(side, scale)) <= largest) {
            break; // as large as the picture, a face is seen whole
        }
    }
    std::vector<Face> &faces = workspace.faces;
    std::sort(faces.begin(), faces.end(),
              [](const Face &a, const Face &b) { return a.width * a.height > b.width * b.height; });
    workspace.times.end(workspace.times.decode);
    if (points_model_) {
        for (Face &face : faces) {
            points_model_->refine(image, face.points, workspace.points);
        }
    }
    workspace.times.end(workspace.times.refine);
}

// Whoever asks for doubtful faces, too, gets them; they neither call for another look nor hide what it finds.
bool Detector::is_sure(const Face &face) const { return face.score >= face_model_.contract().min_score; }

bool Detector::overlooks_large(int side, double scale) const {
    return static_cast<float>(shrunk(side, scale)) > step_back * face_model_.contract().largest;
}

bool Detector::misses_large(const std::vector<Face> &faces, double scale) const {
    const auto large = static_cast<float>(face_model_.contract().largest / scale);
    const auto sure = [&](const Face &face) { return is_sure(face); };
    return std::none_of(faces.begin(), faces.end(), sure) ||
           std::any_of(faces.begin(), faces.end(),
                       [&](const Face &face) { return is_sure(face) && is_at_least(face, large); });
}

void Detector::look_again(const ImageView &image, const Look &further, double scale, Workspace &workspace) const {
    std::vector<Face> &faces = workspace.faces;
    workspace.nearer.swap(faces);
    look(image, further, workspace);
    const std::vector<Face> &nearer = workspace.nearer;
    if (!nearer.empty()) {
        const bool saw_one = std::any_of(nearer.begin(), nearer.end(), [&](const Face &face) { return is_sure(face); });
        // From further away only the large ones are seen well.
        const float least = saw_one ? static_cast<float>(face_model_.contract().largest / scale) / 2 : 0;
        std::erase_if(faces, [&](const Face &face) { return !is_sure(face) || !is_at_least(face, least); });
    }
    add_uncovered(nearer, faces);
}

double Detector::scale_for(const ImageView &image) const {
    double scale = std::min(1.0, static_cast<double>(settings_.max_side) / std::max(image.width, image.height));
    if (settings_.smallest_face > 0) {
        scale = std::min(scale, static_cast<double>(face_model_.contract().smallest) / settings_.smallest_face);
    }
    return scale;
}

void Detector::look(const ImageView &image, const Look &look, Workspace &workspace) const {
    const Place place(image, look.scale, look.border);
    StageTimes &times = workspace.times;
    const auto run = [&](const std::array<int, 3> &channels, auto rest, auto &planes) {
        lay(image, place, channels, rest, planes, workspace);
        times.end(times.fill);
        onnx::Results results = face_model_.run(planes, place.columns, place.rows);
        times.end(times.network);
        return results;
    };
    constexpr std::uint8_t zero = 128; // of our graphs' normalization
    const onnx::Results results = face_model_.is_yunet()
                                      ? run({image.blue, image.green, image.red}, 0.0F, workspace.floats)
                                      : run({image.red, image.green, image.blue}, zero, workspace.bytes);
    face_model_.decode_all(results, place.columns, place.rows, settings_.min_score, workspace.faces);
    for (Face &face : workspace.faces) {
        map_to_picture(image, place, face);
    }
    times.end(times.decode);
    ++times.looks;
}

} // namespace agepred::core
