#pragma once

#include <roundhouse/engine_settings.hpp>
#include <roundhouse/store/lmdb/engine_records.hpp>
#include <roundhouse/store/lmdb/sections.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

/// The encoding of a product's defaults, which are one section of its record (records.hpp): three
/// numbers, then sections of their own.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// The sections of defaults beside those of settings, which have the tags of an engine's.
inline constexpr auto default_version = engine_section::version;
inline constexpr auto former_section = static_cast<engine_section>(64); ///< One for each.

inline void write_defaults(record_writer& out, const product_defaults& defaults) {
    out.number(defaults.env_changed);
    out.number(defaults.limits_changed);
    out.number(defaults.stop_grace_changed);
    if (defaults.version) out.section(default_version, [&] { out.raw(*defaults.version); });
    write_settings(out, defaults.settings);
    for (const auto& former : defaults.former)
        out.section(former_section, [&] {
            out.number(former.first_revision);
            out.number(former.last_revision);
            write_settings(out, {.env_names = former.env_names,
                                 .sealed_env = former.sealed_env,
                                 .limits = former.limits,
                                 .stop_grace = former.stop_grace});
        });
}

[[nodiscard]] inline former_defaults decode_former(value_reader& in) {
    former_defaults out;
    out.first_revision = in.number<std::uint64_t>();
    out.last_revision = in.number<std::uint64_t>();
    engine_settings held;
    in.sections<engine_section>([&](engine_section section, value_reader& values) {
        return decode_section(section, values, held);
    });
    out.env_names = std::move(held.env_names);
    out.sealed_env = std::move(held.sealed_env);
    out.limits = held.limits;
    out.stop_grace = held.stop_grace;
    return out;
}

[[nodiscard]] inline defaults_ptr decode_defaults(value_reader& in) {
    auto out = std::make_shared<product_defaults>();
    out->env_changed = in.number<std::uint64_t>();
    out->limits_changed = in.number<std::uint64_t>();
    out->stop_grace_changed = in.number<std::uint64_t>();
    in.sections<engine_section>([&](engine_section section, value_reader& values) {
        if (section == default_version) out->version = values.rest();
        else if (section == former_section) out->former.push_back(decode_former(values));
        else return decode_section(section, values, out->settings);
        return true;
    });
    return out;
}

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
