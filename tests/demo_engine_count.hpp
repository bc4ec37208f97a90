#pragma once

#include "io_threads.hpp"

#include <roundhouse/detail/http_client.hpp>

#include <asio/ip/address_v4.hpp>
#include <asio/ip/tcp.hpp>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

namespace roundhouse_tests {

/// Executes something on the demo engine at a port of this machine. Returns how many executions the
/// engine has counted; nothing if it refuses the key.
[[nodiscard]] inline std::optional<std::uint64_t>
count_of_demo_engine(io_threads& io, std::uint16_t port, const std::string& key) {
    const roundhouse::detail::http_peer peer = asio::ip::tcp::endpoint{
        asio::ip::address_v4::loopback(), port};
    const roundhouse::detail::http_request request{.method = "POST",
                                                   .target = "/execute",
                                                   .headers = {{"X-Engine-Key", key}},
                                                   .body = R"({"input":1})"};
    const roundhouse::detail::http_limits limits{.deadline = patience};
    const auto answer = io.wait(roundhouse::detail::http_call(peer, request, limits));
    if (!answer) throw std::runtime_error{answer.error().message};
    if (answer->status == 401) return std::nullopt;
    const std::string member = "\"count\":";
    const auto at = answer->body.find(member);
    if (answer->status != 200 || at == std::string::npos)
        throw std::runtime_error{"the demo engine answers " + answer->body};
    return std::stoull(answer->body.substr(at + member.size()));
}

} // namespace roundhouse_tests
