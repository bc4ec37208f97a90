#pragma once

#include <cstdint>
#include <string>
#include <string_view>

/// Whether containers can reach the address at which a cloud hands out the machine's credentials
/// (169.254.169.254).
namespace roundhouse::server {

/// Whether rules of the chain DOCKER-USER, as `iptables -S DOCKER-USER` lists them, keep packets from
/// that address. Rules after one that lets every packet pass do not count.
[[nodiscard]] bool blocks_metadata_address(std::string_view rules);

/// The program `iptables`, found in the absolute folders of a PATH, or else in the system's own,
/// which services often do not have in theirs. Empty if there is none.
[[nodiscard]] std::string find_iptables(std::string_view path);

enum class metadata_rule : std::uint8_t {
    present, ///< There was such a rule.
    added,
    missing, ///< Or it cannot be seen.
};

struct metadata_outcome {
    metadata_rule rule = metadata_rule::missing;
    std::string cause; ///< Why it is missing.
};

/// Looks in this machine's DOCKER-USER for a rule that keeps containers from that address, and if
/// `may_add`, adds one before all others where the chain has none. `iptables` is what `find_iptables`
/// returns. A rule is never removed. Both take the right to change the machine's network (root).
/// Blocks until iptables has answered, which waits up to 5 s for others that use it.
[[nodiscard]] metadata_outcome check_metadata_rule(const std::string& iptables, bool may_add);

} // namespace roundhouse::server
