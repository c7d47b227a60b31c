// Reused memory: one caller at a time, and no more workspaces than there were callers at once.
#include "workspaces.hpp"

#include <atomic>
#include <set>
#include <stdexcept>
#include <thread>

#include "check.hpp"

using namespace agepred::core;

namespace {

struct Room {
    std::atomic<int> guests = 0;
};

void test_reuse() {
    Workspaces<Room> pool;
    const Room *first = nullptr;
    {
        Workspaces<Room>::Lease lease(pool);
        first = &*lease;
        Workspaces<Room>::Lease second(pool);
        CHECK(&*second != first);
    }
    std::set<const Room *> seen;
    for (int i = 0; i < 10; ++i) {
        try {
            Workspaces<Room>::Lease lease(pool);
            seen.insert(&*lease);
            throw std::runtime_error("a failing call gives its workspace back too");
        } catch (const std::runtime_error &) {
        }
    }
    CHECK(seen.size() == 1);
}

void test_one_caller_at_a_time() {
    Workspaces<Room> pool;
    std::atomic<bool> shared = false;
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 2000; ++i) {
                Workspaces<Room>::Lease lease(pool);
                shared = shared || ++lease->guests != 1;
                --lease->guests;
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    CHECK(!shared);
}

} // namespace

int main() {
    test_reuse();
    test_one_caller_at_a_time();
    return check::result();
}
