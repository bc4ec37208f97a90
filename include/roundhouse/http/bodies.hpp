#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/core/deadlines.hpp>
#include <roundhouse/core/engine_settings_check.hpp>
#include <roundhouse/core/names.hpp>
#include <roundhouse/core/platform_keys.hpp>
#include <roundhouse/core/policy.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/http/ignored_names.hpp>
#include <roundhouse/http/json_reader.hpp>
#include <roundhouse/types.hpp>

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

/// Reads the bodies of requests. `null` has the wrong type for every field: it must be left out.
/// Members that are not read are added to `ignored`, if that is given.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

/// The body of `POST /products/register`.
struct register_body {
    std::string slug;
    std::string display_name;
    roundhouse::policy policy;
};

/// The body of `POST /engines/provision`.
struct provision_body {
    std::string user_id;
    provision_options options;
};

namespace detail {

/// Refuses a field if a check has a complaint about it.
inline void apply(field_reader& in, std::string_view name,
                  const std::optional<std::string>& complaint) {
    if (complaint) in.refuse(name, *complaint);
}

inline std::optional<std::string> owned(std::optional<std::string_view> text) {
    if (!text) return std::nullopt;
    return std::string(*text);
}

/// Reads the members of a policy. An absent member sets no limit, so a misspelt one must not pass
/// for absent.
inline roundhouse::policy read_members(field_reader& in) {
    roundhouse::policy out;
    std::vector<std::string_view> known{"max_cpus", "allow_provision", "allow_env",
                                        "allowed_versions"};
    for (const auto& number : core::policy_numbers) known.push_back(number.name);
    in.only(known);
    for (const auto& number : core::policy_numbers)
        out.*number.member = in.whole(number.name, number.range.text());
    out.max_cpus = in.number("max_cpus");
    out.allow_provision = in.boolean("allow_provision");
    out.allow_env = in.boolean("allow_env");
    out.allowed_versions = in.texts("allowed_versions");
    if (const auto fault = core::check_policy(out)) in.refuse(fault->member, fault->complaint);
    return out;
}

inline std::optional<roundhouse::policy> read_policy_field(field_reader& in) {
    auto members = in.object("policy");
    if (!members) return std::nullopt;
    auto out = read_members(*members);
    in.take_failure_of(*members);
    return out;
}

/// Reads a number of seconds, rounded up to whole milliseconds.
inline std::optional<duration> read_seconds(field_reader& in, std::string_view name,
                                            duration longest) {
    const std::chrono::duration<double> most = longest;
    const auto seconds = in.number(name, 0, most.count());
    if (!seconds) return std::nullopt;
    return duration{static_cast<duration::rep>(std::ceil(*seconds * 1'000))};
}

inline engine_limits read_limits(field_reader& in, ignored_names* ignored) {
    engine_limits out;
    auto members = in.object("limits");
    if (!members) return out;
    out.memory_mb = members->whole("memory_mb", core::memory_mb_range.text());
    out.cpus = members->number("cpus");
    out.pids = members->whole("pids", core::pids_range.text());
    members->tell_unread(ignored);
    in.take_failure_of(*members);
    return out;
}

inline sleep_settings read_sleep(field_reader& in, ignored_names* ignored) {
    sleep_settings out;
    auto members = in.object("sleep");
    if (!members) return out;
    out.after = read_seconds(*members, "after_s", core::longest_sleep_after);
    out.deep_after = read_seconds(*members, "deep_after_s", core::longest_sleep_after);
    out.pinned = members->boolean("pinned");
    members->tell_unread(ignored);
    in.take_failure_of(*members);
    return out;
}

/// Refuses members of a nested object, if there is one, that are not in `known`.
inline void only_within(field_reader& in, std::string_view name,
                        const std::vector<std::string_view>& known) {
    auto members = in.object(name);
    if (!members) return;
    members->only(known);
    in.take_failure_of(*members);
}

/// Reads what an engine is to be given.
inline provision_options read_options(field_reader& in, ignored_names* ignored) {
    provision_options out;
    out.version = owned(in.text("engine_version"));
    out.env = in.text_members("env");
    out.metadata = in.text_members("metadata");
    out.limits = read_limits(in, ignored);
    out.stop_grace = read_seconds(in, "stop_grace_s", core::longest_stop_grace);
    out.sleep = read_sleep(in, ignored);
    if (const auto fault = core::check_options(out)) in.refuse(fault->member, fault->complaint);
    return out;
}

/// Reads a member of a merge patch (RFC 7396), where null removes what there is.
template <class Read>
auto read_change(field_reader& in, std::string_view name, const Read& read)
    -> value_change<typename decltype(read(in, name))::value_type> {
    if (in.null(name)) return {.remove = true};
    return {.value = read(in, name)};
}

inline value_change<std::uint64_t> read_whole_change(field_reader& in, std::string_view name,
                                                     const core::whole_range& range) {
    return read_change(in, name, [&range](field_reader& of, std::string_view member) {
        return of.whole(member, range.text());
    });
}

inline value_change<duration> read_seconds_change(field_reader& in, std::string_view name,
                                                  duration longest) {
    return read_change(in, name, [longest](field_reader& of, std::string_view member) {
        return read_seconds(of, member, longest);
    });
}

inline void read_limits_change(field_reader& in, settings_change& out, ignored_names* ignored) {
    if (in.null("limits")) {
        out.memory_mb.remove = out.cpus.remove = out.pids.remove = true;
        return;
    }
    auto members = in.object("limits");
    if (!members) return;
    out.memory_mb = read_whole_change(*members, "memory_mb", core::memory_mb_range);
    out.cpus = read_change(*members, "cpus", [](field_reader& of, std::string_view member) {
        return of.number(member);
    });
    out.pids = read_whole_change(*members, "pids", core::pids_range);
    members->tell_unread(ignored);
    in.take_failure_of(*members);
}

inline void read_sleep_change(field_reader& in, settings_change& out, ignored_names* ignored) {
    if (in.null("sleep")) {
        out.sleep_after.remove = out.deep_sleep_after.remove = out.pinned.remove = true;
        return;
    }
    auto members = in.object("sleep");
    if (!members) return;
    out.sleep_after = read_seconds_change(*members, "after_s", core::longest_sleep_after);
    out.deep_sleep_after = read_seconds_change(*members, "deep_after_s", core::longest_sleep_after);
    out.pinned = read_change(*members, "pinned", [](field_reader& of, std::string_view member) {
        return of.boolean(member);
    });
    members->tell_unread(ignored);
    in.take_failure_of(*members);
}

} // namespace detail

/// Reads a policy that is not part of a request.
[[nodiscard]] inline result<policy> read_policy(std::string_view json) {
    field_reader in(json, "The policy");
    auto out = detail::read_members(in);
    if (in.failure()) return unexpected(*in.failure());
    return out;
}

/// Reads the body of `POST /products/register`.
[[nodiscard]] inline result<register_body> read_register_body(std::string_view body,
                                                              ignored_names* ignored = nullptr) {
    field_reader in(body);
    register_body out;
    out.slug = in.required_text("slug");
    detail::apply(in, "slug", core::names::check_slug(out.slug));
    out.display_name = in.required_text("display_name");
    detail::apply(in, "display_name", core::names::check_display_name(out.display_name));
    out.policy = detail::read_policy_field(in).value_or(policy{});
    if (const auto& failure = in.finish(ignored)) return unexpected(*failure);
    return out;
}

/// Reads the body of `PATCH /products/{product_id or slug}`, a merge patch (RFC 7396).
[[nodiscard]] inline result<product_changes> read_update_body(std::string_view body,
                                                              ignored_names* ignored = nullptr) {
    field_reader in(body);
    product_changes out;
    out.display_name = detail::owned(in.text("display_name"));
    if (out.display_name)
        detail::apply(in, "display_name", core::names::check_display_name(*out.display_name));
    if (const auto& failure = in.finish(ignored)) return unexpected(*failure);
    return out;
}

/// Reads the body of `POST /products/{product_id or slug}/rotate-platform-key`: for how long the
/// older keys stay in force, rounded up to whole milliseconds.
[[nodiscard]] inline result<duration> read_rotate_body(std::string_view body,
                                                       ignored_names* ignored = nullptr) {
    field_reader in(body);
    const auto overlap = detail::read_seconds(in, "overlap_s", core::longest_key_overlap);
    if (const auto& failure = in.finish(ignored)) return unexpected(*failure);
    return overlap.value_or(duration{0});
}

/// Reads the body of `PUT /products/{product_id or slug}/policy`.
[[nodiscard]] inline result<policy> read_policy_body(std::string_view body,
                                                     ignored_names* ignored = nullptr) {
    field_reader in(body);
    auto out = detail::read_policy_field(in);
    if (!out) in.refuse("policy", "is missing. Send {\"policy\":{}} for the default policy.");
    if (const auto& failure = in.finish(ignored)) return unexpected(*failure);
    return *out;
}

/// Reads the body of `PUT /products/{product_id or slug}/defaults`.
[[nodiscard]] inline result<provision_options>
read_defaults_body(std::string_view body, ignored_names* ignored = nullptr) {
    field_reader in(body);
    provision_options out;
    if (auto members = in.object("defaults")) {
        // An absent member removes a default, so a misspelt one must not pass for absent.
        members->only({"engine_version", "env", "metadata", "limits", "sleep", "stop_grace_s"});
        detail::only_within(*members, "limits", {"memory_mb", "cpus", "pids"});
        detail::only_within(*members, "sleep", {"after_s", "deep_after_s", "pinned"});
        out = detail::read_options(*members, ignored);
        in.take_failure_of(*members);
    } else {
        in.refuse("defaults", "is missing. Send {\"defaults\":{}} for none.");
    }
    if (const auto& failure = in.finish(ignored)) return unexpected(*failure);
    return out;
}

/// Reads the body of `POST /engines/provision`.
[[nodiscard]] inline result<provision_body> read_provision_body(std::string_view body,
                                                                ignored_names* ignored = nullptr) {
    field_reader in(body);
    provision_body out;
    out.user_id = in.required_text("user_id");
    detail::apply(in, "user_id", core::names::check_user_id(out.user_id));
    out.options = detail::read_options(in, ignored);
    if (const auto& failure = in.finish(ignored)) return unexpected(*failure);
    return out;
}

/// Reads the body of `PATCH /engines/{user_id}`. What it makes of an engine's settings is checked with
/// them.
[[nodiscard]] inline result<settings_change> read_settings_body(std::string_view body,
                                                                ignored_names* ignored = nullptr) {
    field_reader in(body);
    settings_change out;
    out.env = in.text_changes("env");
    out.metadata = in.text_changes("metadata");
    detail::read_limits_change(in, out, ignored);
    detail::read_sleep_change(in, out, ignored);
    out.stop_grace = detail::read_seconds_change(in, "stop_grace_s", core::longest_stop_grace);
    if (const auto& failure = in.finish(ignored)) return unexpected(*failure);
    return out;
}

/// Reads the body of `POST /engines/lookup`: the users, each once.
[[nodiscard]] inline result<std::vector<std::string>>
read_lookup_body(std::string_view body, ignored_names* ignored = nullptr) {
    constexpr std::size_t most = 500;
    field_reader in(body);
    auto users = in.texts("user_ids");
    if (!users) in.refuse("user_ids", "is missing. It must be a list of strings.");
    else if (users->size() > most) in.refuse("user_ids", "must be at most 500 users.");
    else
        for (const auto& user : *users)
            detail::apply(in, "user_ids", core::names::check_user_id(user));
    if (const auto& failure = in.finish(ignored)) return unexpected(*failure);
    std::unordered_set<std::string_view> seen;
    std::vector<std::string> out;
    for (const auto& user : *users)
        if (seen.insert(user).second) out.push_back(user);
    return out;
}

/// Reads the body of `POST /engines/{user_id}/admit`, which may be empty.
[[nodiscard]] inline result<admit_options> read_admit_body(std::string_view body,
                                                           ignored_names* ignored = nullptr) {
    if (body.empty()) return admit_options{};
    field_reader in(body);
    admit_options out;
    out.auto_provision = in.boolean("auto_provision").value_or(false);
    out.auto_wake = in.boolean("auto_wake").value_or(false);
    if (auto members = in.object("provision")) {
        out.provision = std::make_shared<const provision_options>(
            detail::read_options(*members, ignored));
        members->tell_unread(ignored);
        in.take_failure_of(*members);
    }
    if (const auto& failure = in.finish(ignored)) return unexpected(*failure);
    return out;
}

/// Reads the body of `POST /engines/{user_id}/activity`: the length of the lease, rounded up to
/// whole milliseconds; nothing if no lease is wanted.
[[nodiscard]] inline result<std::optional<duration>>
read_activity_body(std::string_view body, ignored_names* ignored = nullptr) {
    field_reader in(body);
    const auto busy_for = detail::read_seconds(in, "busy_for_s", core::longest_lease);
    if (const auto& failure = in.finish(ignored)) return unexpected(*failure);
    return busy_for;
}

/// Reads the body of `POST /engines/{user_id}/sleep`.
[[nodiscard]] inline result<sleep_mode> read_sleep_body(std::string_view body,
                                                        ignored_names* ignored = nullptr) {
    field_reader in(body);
    auto mode = std::optional(sleep_mode::paused);
    if (const auto name = in.text("mode")) mode = parse_sleep_mode(*name);
    if (!mode) in.refuse("mode", "must be \"paused\" or \"stopped\".");
    if (const auto& failure = in.finish(ignored)) return unexpected(*failure);
    return *mode;
}

/// Reads the body of `POST /engines/{user_id}/upgrade`.
[[nodiscard]] inline result<upgrade_options> read_upgrade_body(std::string_view body,
                                                               ignored_names* ignored = nullptr) {
    field_reader in(body);
    upgrade_options out;
    out.version = in.required_text("engine_version");
    detail::apply(in, "engine_version", core::names::check_version(out.version));
    const auto span = detail::read_seconds(in, "healthy_for_s", core::longest_watch_asked);
    out.healthy_for = span.value_or(out.healthy_for);
    out.keep_copy = in.boolean("keep_copy");
    if (const auto& failure = in.finish(ignored)) return unexpected(*failure);
    return out;
}

/// Reads the body of a call that takes none: whatever it is, nothing of it is used.
inline void read_unused_body(std::string_view body, ignored_names& ignored) {
    if (body.empty()) return;
    const field_reader in(body);
    in.tell_unread(&ignored);
}

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
