#include "metadata_address.hpp"

#include "run_program.hpp"

#include <unistd.h>

#include <algorithm>
#include <utility>

namespace roundhouse::server {

namespace {

bool holds(std::string_view rule, std::string_view part) {
    return rule.find(part) != std::string_view::npos;
}

/// Why a program did not do its work; empty if it did.
std::string failure_of(const result<program_outcome>& outcome) {
    if (!outcome) return outcome.error().message;
    if (outcome->exit_code == 0) return {};
    const auto first_line = outcome->output.substr(0, outcome->output.find('\n'));
    return first_line.empty() ? "iptables exits with " + std::to_string(outcome->exit_code)
                              : first_line;
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

std::string find_iptables(std::string_view path) {
    const std::string folders = std::string(path) + ":/usr/sbin:/sbin";
    for (std::string_view rest = folders; !rest.empty();) {
        const auto folder = rest.substr(0, rest.find(':'));
        rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
        auto program = std::string(folder) + "/iptables";
        if (folder.starts_with('/') && ::access(program.c_str(), X_OK) == 0) return program;
    }
    return {};
}

metadata_outcome check_metadata_rule(const std::string& iptables, bool may_add) {
    if (iptables.empty()) return {metadata_rule::missing, "iptables is not installed"};
    const auto listed = run_program(iptables, {"-w", "5", "-S", "DOCKER-USER"});
    if (auto cause = failure_of(listed); !cause.empty())
        return {metadata_rule::missing, std::move(cause)};
    if (blocks_metadata_address(listed->output)) return {metadata_rule::present, {}};
    if (!may_add) return {metadata_rule::missing, "DOCKER-USER has no such rule"};
    const auto added = run_program(
        iptables, {"-w", "5", "-I", "DOCKER-USER", "-d", "169.254.169.254/32", "-j", "DROP"});
    if (auto cause = failure_of(added); !cause.empty())
        return {metadata_rule::missing, std::move(cause)};
    return {metadata_rule::added, {}};
}

} // namespace roundhouse::server
