// The orchestrator needs only what the concepts require: this compiles, and is never linked.
#include <roundhouse/orchestrator.hpp>
#include <roundhouse/testing/archetypes.hpp>

using namespace roundhouse;
using namespace roundhouse::testing;

static_assert(roundhouse::clock<archetype_clock> && backend<archetype_backend> &&
              store<archetype_store>);

template class roundhouse::orchestrator<archetype_backend, archetype_store, archetype_clock>;
