#include "metadata_address.hpp"

#include <array>
#include <cstddef>
#include <cstdio>
#include <initializer_list>

namespace roundhouse::server {

namespace {

bool holds(std::string_view rule, std::string_view part) {
    return rule.find(part) != std::string_view::npos;
}

} // namespace

bool blocks_metadata_address(std::string_view rules) {
    while (!rules.empty()) {
        const auto rule = rules.substr(0, rules.find('\n'));
        rules.remove_prefix(rule.size() == rules.size() ? rule.size() : rule.size() + 1);
        if (rule == "-A DOCKER-USER -j RETURN" || rule == "-A DOCKER-USER -j ACCEPT") return false;
        // iptables writes a rule's address with its prefix, and `! -d` for any other address.
        const bool is_address = holds(rule, " -d 169.254.169.254/32 ") ||
                                holds(rule, " -d 169.254.0.0/16 ");
        const bool is_barrier = holds(rule, " -j DROP") || holds(rule, " -j REJECT");
        if (is_address && is_barrier && !holds(rule, "! -d ")) return true;
    }
    return false;
}

std::string docker_user_rules() {
    // Services often have no sbin folder in their PATH.
    FILE* const output = ::popen(
        "PATH=$PATH:/usr/sbin:/sbin; exec iptables -w 5 -S DOCKER-USER 2>/dev/null", "re");
    if (output == nullptr) return {};
    std::string rules;
    std::array<char, 4096> piece{};
    while (const auto got = std::fread(piece.data(), 1, piece.size(), output))
        rules.append(piece.data(), got);
    ::pclose(output); // after a failure there is no output
    return rules;
}

} // namespace roundhouse::server
