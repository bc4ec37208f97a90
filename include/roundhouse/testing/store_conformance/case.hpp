#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/conformance_failure.hpp>
#include <roundhouse/testing/record_text.hpp>
#include <roundhouse/version.hpp>

#include <source_location>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// One requirement on stores. `run` needs a new and empty store, and throws `conformance_failure`
/// if the store does not meet the requirement.
template <store Store> struct store_case {
    std::string_view name; ///< A sentence that states the requirement.
    void (*run)(Store&) = nullptr;
};

// Assertions of the cases, beside those of conformance_failure.hpp.

/// Requires that two records, pages or answers are equal in every member.
template <class Got, class Wanted>
void require_same(const Got& got, const Wanted& wanted, std::string_view sentence,
                  const std::source_location& where = std::source_location::current()) {
    const auto differs = difference(text_of(got), text_of(wanted));
    require(differs.empty(), std::string(sentence) + ": " + differs, where);
}

/// The record of an answer, which must have one.
template <class Pointer>
auto must_have(result<Pointer> answer,
               const std::source_location& where = std::source_location::current()) {
    const auto found = must(std::move(answer), where);
    require(found != nullptr, "should be there", where);
    return *found;
}

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
