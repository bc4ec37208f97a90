// Compiled once for each optional member of each concept: a type declares the member CONCEPT::MEMBER
// and does not have it, as one that misspells it. The compiler must refuse the type and name the
// member.
#include <roundhouse/concepts.hpp>
#include <roundhouse/testing/archetypes.hpp>

#define JOIN(a, b) a##b
#define NAMED(prefix, name) JOIN(prefix, name)

struct misspelt : roundhouse::testing::NAMED(archetype_, CONCEPT) {
    static constexpr auto optional_members = roundhouse::optional_member::MEMBER;
};

static_assert(roundhouse::NAMED(require_, CONCEPT) < misspelt > ());
