#pragma once

#include <mutex>
#include <string>
#include <utility>

namespace roundhouse_tests {

/// The address of the server, which may be another after each start.
class current_address {
public:
    void set(std::string address) {
        const std::lock_guard lock(mutex_);
        address_ = std::move(address);
    }
    [[nodiscard]] std::string get() const {
        const std::lock_guard lock(mutex_);
        return address_;
    }

private:
    mutable std::mutex mutex_;
    std::string address_;
};

} // namespace roundhouse_tests
