#pragma once

#include <roundhouse/version.hpp>

#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// Long reads together, or whoever wants none of them alone, who goes first: a shared_mutex may let
/// readers pass a waiting writer for ever.
class long_reads {
public:
    class shared {
    public:
        explicit shared(long_reads& over) : over_(over) {
            std::unique_lock lock(over_.mutex_);
            over_.changed_.wait(lock, [&] { return !over_.barred_; });
            ++over_.running_;
        }
        ~shared() {
            const std::lock_guard lock(over_.mutex_);
            if (--over_.running_ == 0) over_.changed_.notify_all();
        }
        shared(const shared&) = delete;
        shared& operator=(const shared&) = delete;

    private:
        long_reads& over_;
    };

    /// One at a time.
    class none {
    public:
        explicit none(long_reads& over) : over_(over) {
            std::unique_lock lock(over_.mutex_);
            over_.barred_ = true;
            over_.changed_.wait(lock, [&] { return over_.running_ == 0; });
        }
        ~none() {
            const std::lock_guard lock(over_.mutex_);
            over_.barred_ = false;
            over_.changed_.notify_all();
        }
        none(const none&) = delete;
        none& operator=(const none&) = delete;

    private:
        long_reads& over_;
    };

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t running_ = 0;
    bool barred_ = false;
};

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
