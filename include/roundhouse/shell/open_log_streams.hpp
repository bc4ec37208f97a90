#pragma once

#include <roundhouse/error.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/shell/shared_places.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Counts the streams of engines' output that are open, and bounds their number, of all, of each
/// product and of each engine: a stream holds a client's connection, and one to the Docker daemon,
/// for as long as it is followed. Thread-safe.
class open_log_streams : public std::enable_shared_from_this<open_log_streams> {
public:
    /// The place of one stream, which is given back when this is destroyed.
    class place {
    public:
        place(std::shared_ptr<open_log_streams> streams, const uuid& product,
              const uuid& engine) noexcept
            : streams_{std::move(streams)}, product_{product}, engine_{engine} {}
        place(const place&) = delete;
        place& operator=(const place&) = delete;
        ~place() { streams_->give_back(product_, engine_); }

    private:
        const std::shared_ptr<open_log_streams> streams_;
        const uuid product_;
        const uuid engine_;
    };

    explicit open_log_streams(const settings& limits)
        : open_{limits.max_log_streams}, most_per_engine_{limits.max_log_streams_per_engine} {}

    /// Takes a place for a stream of an engine of a product. Fails with `overloaded` if there is
    /// none.
    [[nodiscard]] result<std::shared_ptr<const place>> take(const uuid& product,
                                                            const uuid& engine) {
        const std::lock_guard lock(mutex_);
        const auto known = of_engine_.find(engine);
        if (known != of_engine_.end() && known->second >= most_per_engine_)
            return fail(errc::overloaded,
                        "Too many streams of this engine's output are open. Close some of them.",
                        1);
        if (!open_.take(product))
            return fail(errc::overloaded,
                        "Too many streams of engines' output are open. Try again later.", 1);
        ++of_engine_[engine];
        return std::make_shared<const place>(shared_from_this(), product, engine);
    }

private:
    void give_back(const uuid& product, const uuid& engine) noexcept {
        open_.give_back(product);
        const std::lock_guard lock(mutex_);
        const auto of_engine = of_engine_.find(engine);
        if (--of_engine->second == 0) of_engine_.erase(of_engine);
    }

    shared_places open_;
    const std::size_t most_per_engine_;
    std::mutex mutex_;
    std::unordered_map<uuid, std::size_t> of_engine_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
