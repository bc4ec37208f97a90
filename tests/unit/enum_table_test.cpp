#include "catch.hpp"

#include <roundhouse/call_types.hpp>
#include <roundhouse/enum_table.hpp>
#include <roundhouse/types.hpp>

#include <array>
#include <cstdint>

using namespace roundhouse;

namespace {

enum class colour : std::uint8_t { red, green, blue };

constexpr std::array all{colour::red, colour::green, colour::blue};
constexpr std::array without_the_last{colour::red, colour::green};
constexpr std::array without_the_first{colour::green, colour::blue};
constexpr std::array with_one_twice{colour::red, colour::red, colour::blue};
constexpr std::array out_of_order{colour::green, colour::red, colour::blue};

/// Whether each value is found under its own name.
template <class Enum, std::size_t N, class Parse>
bool reads_back(const std::array<Enum, N>& values, Parse parse) {
    for (const auto value : values)
        if (parse(name_of(value)) != value) return false;
    return !parse("unknown") && !parse("");
}

} // namespace

TEST_CASE("a list that lacks an enumerator, repeats one or is out of order is not complete") {
    STATIC_REQUIRE(detail::lists_every_enumerator<all>());
    STATIC_REQUIRE_FALSE(detail::lists_every_enumerator<without_the_last>());
    STATIC_REQUIRE_FALSE(detail::lists_every_enumerator<without_the_first>());
    STATIC_REQUIRE_FALSE(detail::lists_every_enumerator<with_one_twice>());
    STATIC_REQUIRE_FALSE(detail::lists_every_enumerator<out_of_order>());
}

TEST_CASE("statuses and audit actions are read back from their names") {
    CHECK(reads_back(all_engine_statuses, parse_engine_status));
    CHECK(reads_back(all_audit_actions, parse_audit_action));
}

TEST_CASE("a value that is no enumerator is named unknown") {
    CHECK(name_of(static_cast<engine_status>(all_engine_statuses.size())) == "unknown");
    CHECK(name_of(static_cast<intent>(255)) == "unknown");
    CHECK(name_of(static_cast<audit_action>(all_audit_actions.size())) == "unknown");
    CHECK(name_of(static_cast<denial>(all_denials.size())) == "unknown");
    CHECK(name_of(static_cast<fleet_health>(all_fleet_healths.size())) == "unknown");
}
