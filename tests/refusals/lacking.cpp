// Compiled once for each member of each concept; CONCEPT and MEMBER name them. The compiler must
// refuse the type and name the member.
#include <roundhouse/concepts.hpp>
#include <roundhouse/testing/archetypes.hpp>

#define JOIN(a, b) a##b
#define NAMED(prefix, name) JOIN(prefix, name)

struct lacking : roundhouse::testing::NAMED(archetype_, CONCEPT) {
    void MEMBER() const = delete;
};

static_assert(roundhouse::NAMED(require_, CONCEPT) < lacking > ());
