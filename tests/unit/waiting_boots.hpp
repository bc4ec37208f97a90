#pragma once

#include <roundhouse/shell/turn_queue.hpp>
#include <roundhouse/types.hpp>

#include <cstdint>
#include <string>
#include <utility>

/// Boots of numbered products.
namespace roundhouse_tests {

inline roundhouse::uuid nth_product(std::uint8_t n) {
    roundhouse::uuid out;
    out.bytes.front() = n;
    return out;
}

inline roundhouse::detail::turn_queue::command boot_of(std::uint8_t n, std::string user = "user") {
    return {{nth_product(n), std::move(user)}, 1};
}

} // namespace roundhouse_tests
