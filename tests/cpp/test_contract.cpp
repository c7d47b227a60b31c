// Metadata keys: each is needed, each is checked, and the message names the one at fault.
#include "contract.hpp"

#include <map>
#include <string>

#include "check.hpp"
#include "status.hpp"

using namespace agepred::core;

namespace {

using Keys = std::map<std::string, std::string>;

const Keys common = {
    {"agepred.format", "1"}, {"agepred.version", "0.1.0"}, {"agepred.exact", "1"}, {"agepred.record", "00"}};
const Keys crop = {{"agepred.crop.points", "0.3,0.29;0.7,0.29;0.5,0.52;0.34,0.75;0.67,0.75"},
                   {"agepred.crop.detector", "yunet_n"}};

Keys joined(std::initializer_list<Keys> parts) {
    Keys all;
    for (const Keys &part : parts) {
        all.insert(part.begin(), part.end());
    }
    return all;
}

const Keys age_keys = joined({common, crop,
                              Keys{{"agepred.task", "age"},
                                   {"agepred.age.first", "1"},
                                   {"agepred.temperature", "1.5"},
                                   {"agepred.interval.level", "0.9"},
                                   {"agepred.groups", "0-25,26-116"}}});
const Keys face_keys = joined({common, Keys{{"agepred.task", "face"},
                                            {"agepred.face.min_score", "0.55"},
                                            {"agepred.face.smallest", "12"},
                                            {"agepred.face.largest", "300.5"}}});
const Keys points_keys = joined({common, crop, Keys{{"agepred.task", "points"}}});

const Keys grid_keys = {{"agepred.features.first", "0.5"}, {"agepred.features.step", "32"}};

template <class Contract> using Reader = Contract (*)(const MetadataLookup &);

template <class Contract> Contract read(Reader<Contract> reader, const Keys &keys) {
    return reader([&](const char *key) -> std::optional<std::string> {
        const auto found = keys.find(key);
        return found != keys.end() ? std::optional(found->second) : std::nullopt;
    });
}

template <class Contract> bool refused_for(const std::string &key, Reader<Contract> reader, const Keys &keys) {
    return check::throws<Error>([&] { read(reader, keys); },
                                [&](const Error &error) {
                                    return error.status() == AGEPRED_INVALID_MODEL &&
                                           std::string(error.what()).find(key) != std::string::npos;
                                });
}

// Every key but the optional ones is needed.
template <class Contract> void test_missing_keys(Reader<Contract> reader, const Keys &good) {
    for (const auto &[key, value] : good) {
        Keys keys = good;
        keys.erase(key);
        if (key != "agepred.interval.level") {
            CHECK(refused_for(key, reader, keys));
        }
    }
}

using Wrong = std::map<std::string, std::vector<std::string>>;

template <class Contract> void test_wrong_keys(Reader<Contract> reader, const Keys &good, const Wrong &wrong) {
    for (const auto &[key, values] : wrong) {
        for (const std::string &value : values) {
            Keys keys = good;
            keys[key] = value;
            CHECK(refused_for(key, reader, keys));
        }
    }
}

const Wrong wrong_common = {{"agepred.format", {"2", "", "one"}}, {"agepred.exact", {"2", "-1", "yes", ""}}};
const Wrong wrong_crop = {
    {"agepred.crop.points",
     {"", "0.3,0.29", "0.3;0.7;0.5;0.3;0.6", "nan,0;0,0;0,0;0,0;0,0", "9,0;0,0;0,0;0,0;0,0",
      "0.5,0.5;0.5,0.5;0.5,0.5;0.5,0.5;0.5,0.5", "0.3,0.29;0.7,0.29;0.5,0.52;0.34,0.75;0.67,0.75;"}}};

void test_age() {
    const AgeContract contract = read(read_age_contract, age_keys);
    CHECK(contract.version == "0.1.0" && contract.int8_exact && contract.first_age == 1);
    CHECK(contract.temperature == 1.5F && contract.interval_level == 0.9F);
    CHECK(contract.crop_points[3] == 0.29F && contract.crop_points[8] == 0.67F);
    CHECK(contract.groups.size() == 2 && contract.groups[1].first == 26 && contract.groups[1].last == 116);
    Keys keys = age_keys;
    keys.erase("agepred.interval.level");
    CHECK(read(read_age_contract, keys).interval_level == 0.8F); // the one with a default

    test_missing_keys(read_age_contract, age_keys);
    test_wrong_keys(read_age_contract, age_keys, wrong_common);
    test_wrong_keys(read_age_contract, age_keys, wrong_crop);
    test_wrong_keys(read_age_contract, age_keys,
                    {{"agepred.task", {"face", "Age"}},
                     {"agepred.age.first", {"-1", "1.5", "99999999999999999999", " 1"}},
                     {"agepred.temperature", {"0", "-1", "nan", "inf", "1,5"}},
                     {"agepred.interval.level", {"0", "1", "80 %"}},
                     {"agepred.groups",
                      {"", "0-", "25-0", "0-25-50",
                       "0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,"
                       "0-1,0-1"}}});
}

const Keys offsets = {{"agepred.interval.levels", "0.5,0.9"},
                      {"agepred.interval.ages", "10,40,70"},
                      {"agepred.interval.low", "0,1,2;0.5,-1,3"},
                      {"agepred.interval.high", "1,1,1;2,2,2"}};

void test_interval_offsets() {
    CHECK(read(read_age_contract, age_keys).interval_offsets.levels.empty());
    const Keys good = joined({age_keys, offsets});
    const LeveledOffsets read_offsets = read(read_age_contract, good).interval_offsets;
    CHECK(read_offsets.levels == std::vector<float>({0.5F, 0.9F}) && read_offsets.offsets.size() == 2);
    CHECK(read_offsets.offsets[1].ages == std::vector<float>({10, 40, 70}));
    CHECK(read_offsets.offsets[1].low == std::vector<float>({0.5F, -1, 3}));
    CHECK(read_offsets.offsets[0].high == std::vector<float>({1, 1, 1}));
    for (const auto &[key, value] : offsets) { // all or none
        Keys keys = good;
        keys.erase(key);
        CHECK(refused_for(key, read_age_contract, keys));
    }
    test_wrong_keys(read_age_contract, good,
                    {{"agepred.interval.levels", {"", "0.9,0.5", "0.5,0.5", "0,0.9", "0.5;0.9"}},
                     {"agepred.interval.ages", {"", "10,70,40", "10,40,nan", "-1,40,70"}},
                     {"agepred.interval.low", {"", "0,1,2", "0,1;0.5,-1,3", "0,1,2;0.5,-1,101", "0,1,2;0.5,-1,x"}},
                     {"agepred.interval.high", {"1,1,1;2,2,2;3,3,3", "1,1,1;2,2", "inf,1,1;2,2,2"}}});
}

void test_face() {
    const FaceContract contract = read(read_face_contract, face_keys);
    CHECK(contract.version == "0.1.0" && contract.int8_exact);
    CHECK(contract.min_score == 0.55F && contract.smallest == 12.0F && contract.largest == 300.5F);
    test_missing_keys(read_face_contract, face_keys);
    test_wrong_keys(read_face_contract, face_keys, wrong_common);
    test_wrong_keys(read_face_contract, face_keys,
                    {{"agepred.task", {"age", "points", ""}},
                     {"agepred.face.min_score", {"0", "1", "nan", "60 %"}},
                     {"agepred.face.smallest", {"3", "257", "-10", "inf"}},
                     {"agepred.face.largest", {"63", "4097", "nan", ""}}});
    Keys keys = face_keys;
    keys["agepred.face.smallest"] = "200";
    keys["agepred.face.largest"] = "100";
    CHECK(refused_for("agepred.face.largest", read_face_contract, keys));
}

void test_points() {
    const CropContract contract = read(read_points_contract, points_keys);
    CHECK(contract.crop_points[0] == 0.3F && contract.crop_detector == "yunet_n");
    test_missing_keys(read_points_contract, points_keys);
    test_wrong_keys(read_points_contract, points_keys, wrong_common);
    test_wrong_keys(read_points_contract, points_keys, wrong_crop);
    test_wrong_keys(read_points_contract, points_keys, {{"agepred.task", {"age", "face"}}});
}

void test_feature_grid() {
    const FeatureGrid grid = read(read_feature_grid, grid_keys);
    CHECK(grid.first == 0.5F && grid.step == 32.0F);
    test_missing_keys(read_feature_grid, grid_keys);
    test_wrong_keys(read_feature_grid, grid_keys,
                    {{"agepred.features.first", {"", "nan", "-1025", "0,5"}},
                     {"agepred.features.step", {"0", "inf", "-32", "1025"}}});
}

} // namespace

int main() {
    test_age();
    test_interval_offsets();
    test_face();
    test_points();
    test_feature_grid();
    return check::result();
}
