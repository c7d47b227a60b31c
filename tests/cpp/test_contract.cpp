// Metadata keys: each is needed, each is checked, and the message names the one at fault.
#include "contract.hpp"

#include <map>
#include <string>

#include "check.hpp"
#include "status.hpp"

using namespace agepred::core;

namespace {

using Keys = std::map<std::string, std::string>;

const Keys good = {{"agepred.format", "1"},
                   {"agepred.task", "age"},
                   {"agepred.version", "0.1.0"},
                   {"agepred.exact", "1"},
                   {"agepred.record", "00"},
                   {"agepred.crop.points", "0.3,0.29;0.7,0.29;0.5,0.52;0.34,0.75;0.67,0.75"},
                   {"agepred.crop.detector", "yunet_n"},
                   {"agepred.age.first", "1"},
                   {"agepred.temperature", "1.5"},
                   {"agepred.interval.level", "0.9"},
                   {"agepred.groups", "0-25,26-116"}};

AgeContract read(const Keys &keys) {
    return read_age_contract([&](const char *key) -> std::optional<std::string> {
        const auto found = keys.find(key);
        return found != keys.end() ? std::optional(found->second) : std::nullopt;
    });
}

bool refused_for(const std::string &key, const Keys &keys) {
    return check::throws<Error>([&] { read(keys); },
                                [&](const Error &error) {
                                    return error.status() == AGEPRED_INVALID_MODEL &&
                                           std::string(error.what()).find(key) != std::string::npos;
                                });
}

} // namespace

int main() {
    const AgeContract contract = read(good);
    CHECK(contract.version == "0.1.0" && contract.int8_exact && contract.first_age == 1);
    CHECK(contract.temperature == 1.5F && contract.interval_level == 0.9F);
    CHECK(contract.crop_points[3] == 0.29F && contract.crop_points[8] == 0.67F);
    CHECK(contract.groups.size() == 2 && contract.groups[1].first == 26 && contract.groups[1].last == 116);

    for (const auto &[key, value] : good) {
        Keys keys = good;
        keys.erase(key);
        if (key == "agepred.interval.level") {
            CHECK(read(keys).interval_level == 0.8F); // the one with a default
        } else {
            CHECK(refused_for(key, keys));
        }
    }
    const std::map<std::string, std::vector<std::string>> wrong = {
        {"agepred.format", {"2", "", "one"}},
        {"agepred.task", {"face", "Age"}},
        {"agepred.exact", {"2", "-1", "yes", ""}},
        {"agepred.crop.points",
         {"", "0.3,0.29", "0.3;0.7;0.5;0.3;0.6", "nan,0;0,0;0,0;0,0;0,0", "9,0;0,0;0,0;0,0;0,0",
          "0.3,0.29;0.7,0.29;0.5,0.52;0.34,0.75;0.67,0.75;"}},
        {"agepred.age.first", {"-1", "1.5", "99999999999999999999", " 1"}},
        {"agepred.temperature", {"0", "-1", "nan", "inf", "1,5"}},
        {"agepred.interval.level", {"0", "1", "80 %"}},
        {"agepred.groups",
         {"", "0-", "25-0", "0-25-50",
          "0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,"
          "0-1,0-1"}}};
    for (const auto &[key, values] : wrong) {
        for (const std::string &value : values) {
            Keys keys = good;
            keys[key] = value;
            CHECK(refused_for(key, keys));
        }
    }
    return check::result();
}
