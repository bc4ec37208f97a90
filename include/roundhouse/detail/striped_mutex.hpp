#pragma once

#include <roundhouse/detail/thread_hash.hpp>
#include <roundhouse/version.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// A mutex for data that is read all the time and written now and then. A reader holds a `reading`; a
/// writer locks the mutex itself.
///
/// Each thread counts its reads in a place of its own, so that threads that read share no memory
/// that they write: with `std::shared_mutex` two readers take turns at its count. A writer pays for
/// that: it visits all places. While a writer waits, new readers wait for it: a thread that reads
/// within a read would then wait for ever.
class striped_mutex {
    /// Two threads may have the same one.
    struct alignas(64) place {
        std::atomic<std::uint32_t> readers = 0;
    };

public:
    /// Keeps writers out for as long as it lives.
    class reading {
    public:
        explicit reading(striped_mutex& mutex) noexcept
            : mutex_(mutex), place_(mutex.place_of_this_thread()) {
            for (;;) {
                place_.readers.fetch_add(1);
                // `lock` writes and reads the two in the opposite order, so that at least one side
                // sees the other.
                if (!mutex_.written_.load()) return;
                leave();
                mutex_.written_.wait(true);
            }
        }
        ~reading() { leave(); }
        reading(const reading&) = delete;
        reading& operator=(const reading&) = delete;

    private:
        void leave() noexcept {
            place_.readers.fetch_sub(1);
            if (mutex_.written_.load()) place_.readers.notify_all();
        }

        striped_mutex& mutex_;
        place& place_;
    };

    void lock() {
        writers_.lock();
        written_.store(true);
        for (auto& [readers] : places_)
            for (auto left = readers.load(); left != 0; left = readers.load()) readers.wait(left);
    }

    void unlock() noexcept {
        written_.store(false);
        written_.notify_all();
        writers_.unlock();
    }

private:
    place& place_of_this_thread() noexcept {
        return places_[hash_of_this_thread() % places_.size()];
    }

    std::array<place, 64> places_;
    alignas(64) std::atomic<bool> written_ = false;
    std::mutex writers_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
