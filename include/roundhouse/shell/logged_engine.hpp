#pragma once

#include <roundhouse/engine_owner.hpp>
#include <roundhouse/types.hpp>

#include <string>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// What names an engine in a log line: the fields `product`, `user_id` and `engine_id`. What is empty
/// is left out.
struct logged_engine {
    std::string product; ///< Its slug, or its id where the slug is not known.
    std::string user_id;
    std::string engine_id;

    explicit logged_engine(const engine_owner& owner, std::string_view slug = {})
        : product(slug.empty() ? to_string(owner.product_id) : std::string(slug)),
          user_id(owner.user_id) {}
    explicit logged_engine(const engine_record& engine, std::string_view slug = {})
        : logged_engine({engine.product_id, engine.user_id}, slug) {
        engine_id = to_string(engine.id);
    }
    /// An engine without a record.
    explicit logged_engine(const uuid& id) : engine_id(to_string(id)) {}
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
