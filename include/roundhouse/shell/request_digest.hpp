#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/types.hpp>

#include <bit>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What calls of the SDK with an idempotency key are compared by.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Puts the arguments of a call into one text, and makes its digest. The text begins as no HTTP request
/// does.
class request_digest {
public:
    explicit request_digest(std::string_view call) { add(call); }

    void add(std::string_view part) {
        text_.append(std::to_string(part.size())).append(":").append(part);
    }
    void add(std::uint64_t number) { add(std::string_view(std::to_string(number))); }
    void add(std::uint32_t number) { add(std::uint64_t{number}); }
    void add(bool flag) { add(std::uint64_t{flag}); }
    void add(double number) { add(std::bit_cast<std::uint64_t>(number)); }
    void add(duration span) { add(std::string_view(std::to_string(span.count()))); }
    void add(const std::vector<std::string>& texts) {
        add(std::uint64_t{texts.size()});
        for (const auto& text : texts) add(std::string_view(text));
    }
    void add(const named_texts& texts) {
        add(std::uint64_t{texts.size()});
        for (const auto& [name, text] : texts) {
            add(std::string_view(name));
            add(std::string_view(text));
        }
    }
    template <class T> void add(const std::optional<T>& value) {
        text_ += value ? '+' : '-';
        if (value) add(*value);
    }

    [[nodiscard]] sha256_digest value() const { return crypto::sha256(text_); }

private:
    std::string text_;
};

[[nodiscard]] inline sha256_digest digest_of_provision(std::string_view user_id,
                                                       const provision_options& options) {
    request_digest out("provision");
    out.add(user_id);
    out.add(options.version);
    out.add(options.env);
    out.add(options.metadata);
    out.add(options.limits.memory_mb);
    out.add(options.limits.cpus);
    out.add(options.limits.pids);
    out.add(options.stop_grace);
    out.add(options.sleep.after);
    out.add(options.sleep.deep_after);
    out.add(options.sleep.pinned);
    return out.value();
}

[[nodiscard]] inline sha256_digest
digest_of_registration(std::string_view slug, std::string_view display_name, const policy& limits) {
    request_digest out("register");
    out.add(slug);
    out.add(display_name);
    // Binds every member: a new one does not compile until it is added.
    const auto& [max_engines, rate_limit_rpm, rate_limit_burst, max_concurrent_boots,
                 max_provisions_per_minute, weight, max_memory_mb, max_cpus, max_pids,
                 max_total_memory_mb, allow_provision, allow_env, allowed_versions] = limits;
    out.add(max_engines);
    out.add(rate_limit_rpm);
    out.add(rate_limit_burst);
    out.add(max_concurrent_boots);
    out.add(max_provisions_per_minute);
    out.add(weight);
    out.add(max_memory_mb);
    out.add(max_cpus);
    out.add(max_pids);
    out.add(max_total_memory_mb);
    out.add(allow_provision);
    out.add(allow_env);
    out.add(allowed_versions);
    return out.value();
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
