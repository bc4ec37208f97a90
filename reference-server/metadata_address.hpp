#pragma once

#include <string>
#include <string_view>

/// Whether containers can reach the address at which a cloud hands out the machine's credentials
/// (169.254.169.254).
namespace roundhouse::server {

/// Whether rules of the chain DOCKER-USER, as `iptables -S DOCKER-USER` lists them, keep packets from
/// that address. Rules after one that lets every packet pass do not count.
[[nodiscard]] bool blocks_metadata_address(std::string_view rules);

/// Lists the rules of the chain DOCKER-USER of this machine. Empty if they cannot be seen: without
/// iptables, without the right to ask it (root), without the chain. Blocks until iptables has
/// answered, which waits up to 5 s for others that use it.
[[nodiscard]] std::string docker_user_rules();

} // namespace roundhouse::server
