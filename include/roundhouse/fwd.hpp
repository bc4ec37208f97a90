#pragma once

#include <roundhouse/version.hpp>

/// Forward declarations.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

template <class Backend, class Store, class Clock> class orchestrator;
class orchestrator_base;
class product_handle;
class fleet_calls;

class memory_backend;
class memory_store;
class system_clock;
class manual_clock;

struct settings;
struct policy;
struct product;
struct engine_record;
struct audit_entry;

/// An orchestrator for tests and benchmarks: nothing outlives the process.
using memory_orchestrator = orchestrator<memory_backend, memory_store, system_clock>;

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
