// Compiled once for each optional member of a backend: a type declares the member MEMBER and does not
// have it, as one that misspells it. The compiler must refuse the type and name the member.
#include <roundhouse/concepts.hpp>
#include <roundhouse/testing/archetypes.hpp>

struct misspelt : roundhouse::testing::archetype_backend {
    static constexpr auto optional_members = roundhouse::optional_member::MEMBER;
};

static_assert(roundhouse::require_backend<misspelt>());
