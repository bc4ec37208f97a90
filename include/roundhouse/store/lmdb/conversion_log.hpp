#pragma once

#include <roundhouse/log.hpp>
#include <roundhouse/store/lmdb/options.hpp>

#include <chrono>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// Logs the conversion of a store: what there is to convert, and how long it took.
class conversion_log {
public:
    explicit conversion_log(const lmdb_options& options) : options_(options) {}

    /// `what` names the schema or layout, and what there is of records.
    void began(const std::string& what) const {
        write("is converted to " + what + ". It is not served meanwhile");
    }
    void ended() const {
        const auto took = std::chrono::steady_clock::now() - began_at_;
        write("was converted in " +
              std::to_string(std::chrono::ceil<std::chrono::seconds>(took).count()) + " s");
    }

private:
    void write(const std::string& what) const {
        if (options_.log)
            options_.log({log_level::info, "store: " + options_.folder + " " + what, {}});
    }

    const lmdb_options& options_;
    const std::chrono::steady_clock::time_point began_at_ = std::chrono::steady_clock::now();
};

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
