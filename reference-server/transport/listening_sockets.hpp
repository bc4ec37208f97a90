#pragma once

#include "listener.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace roundhouse::server {

/// Descriptors that are closed with the object.
class descriptors {
public:
    descriptors() = default;
    ~descriptors();
    descriptors(descriptors&& other) noexcept : all_(std::exchange(other.all_, {})) {}
    descriptors(const descriptors&) = delete;
    descriptors& operator=(const descriptors&) = delete;

    void add(int descriptor) { all_.push_back(descriptor); }
    [[nodiscard]] const std::vector<int>& all() const noexcept { return all_; }
    /// Hands them over.
    [[nodiscard]] std::vector<int> release() noexcept { return std::exchange(all_, {}); }

private:
    std::vector<int> all_;
};

/// The sockets of one place, one for each loop. They do not block.
struct listening_sockets {
    descriptors sockets;
    std::uint16_t port = 0; ///< 0 if there is none.
};

/// Opens the sockets of a place. Throws `std::system_error`, whose text names the place.
[[nodiscard]] listening_sockets listen_at(const listening_place& place, std::size_t loops);

/// The place as in ORCH_LISTEN, without a scheme.
[[nodiscard]] std::string to_string(const listening_place& place);

} // namespace roundhouse::server
