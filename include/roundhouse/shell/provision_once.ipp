#pragma once

#include <roundhouse/error.hpp>
#include <roundhouse/shell/provision_once.hpp>
#include <roundhouse/shell/request_digest.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// The answer to a call of the SDK as it is kept, one member a line: of success `made`, the engine's
/// id and its key; of a failure `failed`, its details and its message.
[[nodiscard]] inline std::string write_kept(const result<engine_view>& outcome) {
    if (outcome) return "made\n" + to_string(outcome->record->id) + "\n" + outcome->api_key;
    const auto& failure = outcome.error();
    std::string out = "failed\n";
    if (failure.details) {
        const auto& [code, signal, out_of_memory] = failure.details->exit;
        out += std::string(name_of(failure.details->cause)) + ' ' +
               (code ? std::to_string(*code) : "-") + ' ' +
               (signal ? std::to_string(*signal) : "-") + ' ' + (out_of_memory ? "1" : "0");
    }
    return out + "\n" + failure.message;
}

[[nodiscard]] inline std::optional<error_details> read_details(const std::string& line) {
    std::istringstream in(line);
    std::string cause;
    std::string code;
    std::string signal;
    error_details out;
    if (!(in >> cause >> code >> signal >> out.exit.out_of_memory)) return std::nullopt;
    if (cause == name_of(boot_failure::exited)) out.cause = boot_failure::exited;
    if (code != "-") out.exit.exit_code = std::stoi(code);
    if (signal != "-") out.exit.signal = static_cast<std::uint8_t>(std::stoi(signal));
    return out;
}

/// Answers by what was kept. The fleet holds what waits for it, which must not hold the fleet.
inline void read_kept(const std::weak_ptr<fleet_calls>& asked, product_ptr product,
                      const std::string& kept, completion<engine_view> done) {
    std::istringstream in(kept);
    std::string kind;
    std::string second;
    std::getline(in, kind);
    std::getline(in, second);
    const auto rest = kept.substr(std::min(kept.size(), kind.size() + second.size() + 2));
    const auto id = parse_uuid(second);
    if (kind != "made" || !id) {
        error failure{errc::boot_timeout, rest};
        failure.details = read_details(second);
        return done(unexpected(std::move(failure)));
    }
    const auto fleet = asked.lock();
    if (!fleet) return done(fail(errc::shutting_down, "The orchestrator is gone."));
    fleet->find_by_id(std::move(product), *id,
                      [key = rest, done = std::move(done)](result<engine_view> found) {
                          if (found) found->api_key = key;
                          done(std::move(found));
                      });
}

ROUNDHOUSE_DECL void provision_once(const std::shared_ptr<fleet_calls>& fleet, product_ptr product,
                                    std::string user_id, provision_options options, std::string key,
                                    completion<engine_view> done) {
    idempotent_call once{std::move(key), digest_of_provision(user_id, options), write_kept};
    auto answered = [asked = std::weak_ptr(fleet), product,
                     done = std::move(done)](const result<std::string>& kept) {
        if (kept) read_kept(asked, product, *kept, done);
        else done(unexpected(kept.error()));
    };
    fleet->provision_once(product, std::move(user_id), std::move(options), std::move(once),
                          std::move(answered));
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
