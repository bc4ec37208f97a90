// Compiled once per member of each concept, with CONCEPT and MEMBER naming it: must be refused,
// with the member's name.
#include <roundhouse/concepts.hpp>
#include <roundhouse/testing/archetypes.hpp>

#define JOIN(a, b) a##b
#define NAMED(prefix, name) JOIN(prefix, name)

struct lacking : roundhouse::testing::NAMED(archetype_, CONCEPT) {
    void MEMBER() const = delete;
};

static_assert(roundhouse::NAMED(require_, CONCEPT) < lacking > ());
