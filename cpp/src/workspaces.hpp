// Memory that calls reuse: as many workspaces as there ever were calls at once, each used by one call at a time.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

namespace agepred::core {

template <class Workspace> class Workspaces {
  public:
    // A workspace on loan; goes back when the lease ends, also by an exception.
    class Lease {
      public:
        explicit Lease(Workspaces &pool) : pool_(pool), workspace_(pool.take()) {}
        Lease(const Lease &) = delete;
        Lease &operator=(const Lease &) = delete;
        ~Lease() { pool_.give_back(std::move(workspace_)); }
        Workspace &operator*() { return *workspace_; }
        Workspace *operator->() { return workspace_.get(); }

      private:
        Workspaces &pool_;
        std::unique_ptr<Workspace> workspace_;
    };

  private:
    std::unique_ptr<Workspace> take() {
        const std::scoped_lock lock(mutex_);
        if (idle_.empty()) {
            ++made_;
            idle_.reserve(made_); // here, so that give_back cannot fail
            return std::make_unique<Workspace>();
        }
        auto workspace = std::move(idle_.back());
        idle_.pop_back();
        return workspace;
    }

    void give_back(std::unique_ptr<Workspace> workspace) noexcept {
        const std::scoped_lock lock(mutex_);
        idle_.push_back(std::move(workspace));
    }

    std::mutex mutex_;
    std::size_t made_ = 0;
    std::vector<std::unique_ptr<Workspace>> idle_;
};

} // namespace agepred::core
